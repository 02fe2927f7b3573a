"""Hooks that draw predictions beside the ground truth while a model is trained or tested."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import Compose
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.visualization import LocalVisBackend
from torch.utils.data import DataLoader

from ..datasets.checks.sources import leaf_datasets
from ..errors import UserError, first_line
from ..files import write_image
from ..inference import Prediction, Predictor
from ..inference.drawing import choose_palette
from ..inference.loading import PREDICTORS, find_class_info, find_class_names
from ..mmengine_utils import name_of, plain_model
from ..registry import HOOKS
from .grids import draw_grid, draw_in_cell, draw_pair
from .ground_truth import GroundTruth
from .mistakes import score_image

FOLDER = 'val_images'


def wrap_run(
    runner: Runner, loader: DataLoader, settings: ConfigDict, score_thr: float
) -> tuple[Predictor, GroundTruth]:
    """The model of a runner as a predictor that reads its outputs, and the ground truth of one of its loaders."""
    scope, settings = runner.cfg.default_scope, next(leaf_datasets(settings.dataset))
    network, meta = plain_model(runner), {'dataset_meta': loader.dataset.metainfo}
    names, known = find_class_names(meta, settings, network), loader.dataset.metainfo.get('classes') or ()
    # The network may have more classes than the data set.
    names[: len(known)] = known
    palette = choose_palette(len(names), [info.get('palette') for info in find_class_info(meta, settings)])
    truths = GroundTruth(loader.dataset, settings, scope, names)
    # The loader has prepared its images already.
    model = PREDICTORS[scope](network, Compose([]), truths.loader, names, palette)
    model.score_thr = score_thr
    return model, truths


@HOOKS.register_module()
class ValVisualizationHook(Hook):
    """Draw a grid of the same validation images at each validation, predictions beside the ground truth.

    Writes ``val_images/epoch_N.jpg`` or ``iter_N.jpg`` in the work dir, and adds the image to the trackers of the
    run's visualizer. It draws what the validation predicts anyway. If drawing fails, it warns once and the training
    goes on without.

    Args:
        score_thr: Objects of lower scores are left out.
        images: The number of images, spread over the validation data; 0 for none.
    """

    def __init__(self, score_thr: float = 0.3, images: int = 8) -> None:
        self.score_thr, self.images = score_thr, images
        self.is_on = False
        self.chosen: dict[str, int] = {}
        self.found: dict[int, Prediction] = {}

    def before_train(self, runner: Runner) -> None:
        self.is_on = self.images > 0 and get_rank() == 0

    def before_val_epoch(self, runner: Runner) -> None:
        self.found = {}
        if self.is_on and not self.chosen:
            self.attempt(runner, self.choose_images)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if self.is_on:
            self.attempt(runner, self.keep_predictions, outputs)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        if self.is_on and self.found:
            self.attempt(runner, self.write_grid)

    def attempt(self, runner: Runner, step: Any, *arguments: Any) -> None:
        """Call a step; whatever fails in it, the hook is off from then on."""
        try:
            step(runner, *arguments)
        except Exception as error:
            self.is_on = False
            runner.logger.warning(f'no validation images from here on: {first_line(error)}')

    def choose_images(self, runner: Runner) -> None:
        """Choose among the images that rank 0 validates: samplers deal them out in turns."""
        settings = runner.cfg.val_dataloader
        self.model, self.truths = wrap_run(runner, runner.val_dataloader, settings, self.score_thr)
        own = -(-len(self.truths) // get_world_size())
        shown = min(self.images, own)
        numbers = [number * own // shown * get_world_size() for number in range(shown)]
        self.chosen = {name_of(self.truths.dataset.get_data_info(number)): number for number in numbers}

    def keep_predictions(self, runner: Runner, outputs: Any) -> None:
        for sample in outputs:
            number = self.chosen.get(name_of(sample))
            if number is not None:
                self.found[number] = self.model.read_sample(sample)

    def write_grid(self, runner: Runner) -> None:
        is_by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        by, step = ('iter', runner.iter) if is_by_iter else ('epoch', runner.epoch)
        grid = self.draw_grid()
        write_image(Path(runner.work_dir, FOLDER, f'{by}_{step}.jpg'), grid)
        for backend in runner.visualizer._vis_backends.values():
            # The local one would write a second file.
            if not isinstance(backend, LocalVisBackend):
                backend.add_image('predictions', np.ascontiguousarray(grid[..., ::-1]), step)

    def draw_grid(self) -> np.ndarray:
        """Draw the ground truth and the prediction of each image beside each other."""
        pictures, titles = [], []
        for number, found in sorted(self.found.items()):
            info = self.truths.get_info(number)
            image = self.truths.load_image(info)
            truth = self.truths.load_truth(info, image)
            score = score_image(truth, found, self.model.classes)
            pictures += [
                draw_in_cell(image, truth, self.model.palette, with_scores=False),
                draw_in_cell(image, found, self.model.palette),
            ]
            titles += [f'ground truth: {Path(info["img_path"]).name}', f'prediction {score.score:.2f}: {score.text}']
        return draw_grid(pictures, titles)


@HOOKS.register_module()
class TestVisualizationHook(Hook):
    """Draw every tested image, the ground truth beside the prediction, for ``test --show-dir``.

    Args:
        folder: Where the pictures go, named after the images.
        score_thr: Objects of lower scores are left out.
    """

    # Not a test of pytest's.
    __test__ = False

    def __init__(self, folder: str, score_thr: float = 0.3) -> None:
        self.folder, self.score_thr = Path(folder), score_thr

    def before_test(self, runner: Runner) -> None:
        settings = runner.cfg.test_dataloader
        self.model, self.truths = wrap_run(runner, runner.test_dataloader, settings, self.score_thr)
        dataset = self.truths.dataset
        self.numbers = {name_of(dataset.get_data_info(number)): number for number in range(len(dataset))}
        self.has_unique_stems = len({Path(name).stem for name in self.numbers}) == len(self.numbers)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for sample in outputs:
            number = self.numbers[name_of(sample)]
            info = self.truths.get_info(number)
            image, name = self.truths.load_image(info), Path(info['img_path'])
            try:
                truth = self.truths.load_truth(info, image)
            # The ground truth of some test sets is not published.
            except UserError:
                truth = None
            picture = draw_pair(image, truth, self.model.read_sample(sample), self.model.palette, name.name, '')
            stem = name.stem if self.has_unique_stems else f'{name.stem}_{number}'
            write_image(self.folder / f'{stem}.jpg', picture)
