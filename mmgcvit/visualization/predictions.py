"""What a network predicts while it is trained or tested, drawn with the truth, by hooks of its run."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import Compose
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from PIL import Image
from torch.utils.data import DataLoader

from ..datasets.checks.images import loader_of
from ..datasets.checks.sources import leaf_datasets
from ..engine.progress import counts_iterations
from ..errors import UserError, first_line
from ..files import write_image, written_whole
from ..hosts.mmengine import name_of, plain_model
from ..inference import Prediction
from ..inference.loading import KINDS, colours_of, names_of
from ..registry import HOOKS
from .judging import Truths, empty_confusion, judge
from .sheets import COLUMNS, cell_of, side_by_side, stacked

FOLDER, QUALITY = 'sheets', 85


def truths_of_run(runner: Runner, loader: DataLoader, settings: ConfigDict, score_thr: float) -> Truths:
    """What is true of the data of a runner's loader, whose settings these are, for its model."""
    kind, settings = KINDS[runner.cfg.default_scope], next(leaf_datasets(settings.dataset))
    network, meta = plain_model(runner), {'dataset_meta': loader.dataset.metainfo}
    names, known = names_of(meta, settings, network), loader.dataset.metainfo.get('classes') or ()
    # A network may have more.
    names[: len(known)] = known
    # Its images are those that the loader has prepared.
    model = kind(network, Compose([]), loader_of(settings), names, colours_of(meta, settings, names))
    model.score_thr = score_thr
    return Truths(loader.dataset, settings, model)


@HOOKS.register_module()
class PredictionSheetHook(Hook):
    """Draws a contact sheet at each validation of a training: predictions for the same few images, below the truth.

    It is ``sheets/epoch_N.jpg`` or ``iter_N.jpg`` in the work dir, and goes to the trackers of the run's visualizer.
    The images are spread over the validation data. What the validation predicts anyway is drawn, so that nothing is
    computed twice and no random number is drawn. A sheet that fails ends no training: the run says so once, and goes on
    without.

    Args:
        score_thr: Of a detector, objects of lower scores are left out.
        images: So many are on a sheet; 0 for no sheets.
    """

    def __init__(self, score_thr: float = 0.3, images: int = 8) -> None:
        self.score_thr, self.images = score_thr, images
        self.draws = self.is_new = False
        # The numbers in the data set of the images by their names, and what is predicted for them.
        self.numbers: dict[str, int] = {}
        self.found: dict[int, Prediction] = {}

    def before_train(self, runner: Runner) -> None:
        self.draws = self.images > 0 and get_rank() == 0
        self.is_new = runner.iter == 0

    def before_val_epoch(self, runner: Runner) -> None:
        self.found = {}
        if not self.numbers:
            self.attempt(runner, self.choose)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.attempt(runner, self.keep, outputs)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        if self.found:
            self.attempt(runner, self.write)

    def attempt(self, runner: Runner, step: Callable[..., None], *arguments: Any) -> None:
        """Go a step towards a sheet, or towards none any more where it fails, for whatever reason."""
        if not self.draws:
            return
        try:
            step(runner, *arguments)
        except Exception as error:
            self.draws = False
            runner.logger.warning(f'no sheets of predictions from here on: {first_line(error)}')

    def choose(self, runner: Runner) -> None:
        """Choose the images, of those that this process validates: samplers deal them out in turns."""
        if self.is_new:
            # Sheets of another training, which this one replaces.
            for earlier in Path(runner.work_dir, FOLDER).glob('*.jpg'):
                earlier.unlink()
        self.truths = truths_of_run(runner, runner.val_dataloader, runner.cfg.val_dataloader, self.score_thr)
        own = -(-len(self.truths) // get_world_size())
        shown = min(self.images, own)
        numbers = [number * own // shown * get_world_size() for number in range(shown)]
        self.numbers = {name_of(self.truths.dataset.get_data_info(number)): number for number in numbers}

    def keep(self, runner: Runner, outputs: Any) -> None:
        """Keep what is predicted for the images."""
        for sample in outputs:
            number = self.numbers.get(name_of(sample))
            if number is not None:
                self.found[number] = self.truths.model.prediction_of(sample)

    def write(self, runner: Runner) -> None:
        """Write the sheet, and show it to the trackers."""
        by, step = ('iter', runner.iter) if counts_iterations(runner) else ('epoch', runner.epoch)
        sheet = self.sheet()
        with written_whole(Path(runner.work_dir, FOLDER, f'{by}_{step}.jpg'), flush=False) as unfinished:
            sheet.save(unfinished, 'JPEG', quality=QUALITY)
        for backend in runner.visualizer._vis_backends.values():
            # That one would write it once more, as PNG.
            if not isinstance(backend, LocalVisBackend):
                backend.add_image('predictions', np.asarray(sheet), step)

    def sheet(self) -> Image.Image:
        """Rows of truths, and below each the row of their predictions, with what is wrong with them."""
        model, pairs = self.truths.model, []
        for number, found in sorted(self.found.items()):
            info = self.truths.info(number)
            image = self.truths.image(info)
            truth = self.truths.truth(info, image)
            verdict = judge(truth, found, empty_confusion(model.task, model.classes))
            above = cell_of(image, truth, model.palette, f'truth: {Path(info["img_path"]).name}', with_scores=False)
            pairs.append((above, cell_of(image, found, model.palette, f'{verdict.score:.2f}: {verdict.why}')))
        rows = [zip(*pairs[begin : begin + COLUMNS], strict=True) for begin in range(0, len(pairs), COLUMNS)]
        return stacked([row for both in rows for row in both])


@HOOKS.register_module()
class PredictionPicturesHook(Hook):
    """Draws every tested image, the truth on the left and the prediction on the right, for ``test --show-dir``.

    Args:
        folder: Where the pictures go, under the images' names.
        score_thr: As for :class:`PredictionSheetHook`.
    """

    def __init__(self, folder: str, score_thr: float = 0.3) -> None:
        self.folder, self.score_thr = Path(folder), score_thr

    def before_test(self, runner: Runner) -> None:
        self.truths = truths_of_run(runner, runner.test_dataloader, runner.cfg.test_dataloader, self.score_thr)
        dataset = self.truths.dataset
        self.numbers = {name_of(dataset.get_data_info(number)): number for number in range(len(dataset))}
        self.stems = Counter(Path(name).stem for name in self.numbers)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for sample in outputs:
            number = self.numbers[name_of(sample)]
            info = self.truths.info(number)
            image, found = self.truths.image(info), self.truths.model.prediction_of(sample)
            try:
                truth = self.truths.truth(info, image)
            # Of some tests it is not published.
            except UserError:
                truth = None
            picture = side_by_side(image, truth, found, self.truths.model.palette, [info['img_path']])
            stem = Path(info['img_path']).stem
            # Folders of classes may hold files of one name.
            unique = stem if self.stems[stem] <= 1 else f'{stem}_{number}'
            write_image(self.folder / f'{unique}.jpg', picture)
