"""Draw predictions for validation and test images, beside the ground truth."""

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import LocalVisBackend, Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend

from ..engine.loop_progress import get_progress
from ..engine.tiled_loops import TiledLoop, build_dataset_and_predictor
from ..errors import UserError, get_first_line
from ..host.files import write_image
from ..host.runners import get_image_name, silence_output
from ..predict.results import Prediction
from ..registry import HOOKS
from ..runs.folder import VAL_IMAGES_FOLDER
from .judging.evaluations import EVALUATION_BY_TASK
from .judging.grids import PICTURE_SIDE, Cell, draw_cells, draw_grid
from .judging.samples import load_sample
from .pictures.outputs import Outputs

SCORE_THR = 0.3  # of detections


class DrawingHook(Hook):
    """Base class of hooks that draw predictions of a run's model for images of a config's dataset,
    beside the ground truth.
    """

    score_thr = SCORE_THR

    def prepare(self, runner: Runner, settings: ConfigDict, loop: BaseLoop) -> None:
        """Build the dataset and a predictor."""
        # Images that are predicted in tiles have too many masks for the memory.
        has_masks = not isinstance(loop, TiledLoop)
        # The predictor only converts outputs of the model.
        with silence_output():
            self.dataset, self.predictor = build_dataset_and_predictor(
                runner, settings, has_masks, self.score_thr
            )

    def draw(self, index: int, prediction: Prediction, side: int | None = None) -> list[Cell]:
        """Draw the ground truth and a prediction for an image, whose longer side becomes ``side``
        px.
        """
        classes = self.predictor.classes
        evaluation = EVALUATION_BY_TASK[self.predictor.task]
        sample = load_sample(self.dataset, index, classes, evaluation)
        threshold = evaluation.describe_threshold(self.predictor)
        title = ', '.join(filter(None, [sample.path.name, threshold]))
        if sample.ground_truth is not None:
            score = evaluation.score_image(sample.ground_truth, prediction, len(classes))
            title += f': {evaluation.describe_score(score, classes)}'
        return draw_cells(
            title,
            image=sample.image,
            palette=self.predictor.palette,
            ground_truth=sample.ground_truth,
            prediction=prediction,
            side=side or max(sample.image.shape[:2]),
            evaluation=evaluation,
        )


class ShowDirHook(DrawingHook):
    """Draw all test images with predictions into a folder, for ``mmgcvit test --show-dir``.

    A picture has the path of its image in the folder that contains all images.
    """

    def __init__(self, folder: str):
        self.folder = folder

    def before_test_epoch(self, runner: Runner) -> None:
        self.prepare(runner, runner.cfg.test_dataloader.dataset, runner.test_loop)
        images = map(self.dataset.get_data_info, range(len(self.dataset)))
        self.indices = {get_image_name(image): index for index, image in enumerate(images)}
        self.outputs = Outputs(Path(self.folder), [*self.indices])

    def after_test_iter(
        self, runner: Runner, outputs: Sequence[BaseDataElement], **kwargs: Any
    ) -> None:
        for sample in outputs:
            name = get_image_name(sample)
            grid = draw_grid(self.draw(self.indices[name], self.predictor.read_sample(sample)))
            write_image(self.outputs.get_path('', name, '.jpg'), grid)


def stop_if_failing(step: Callable[..., None]) -> Callable[..., None]:
    """Decorate a method of :class:`ValVisualizationHook`: call it while drawing is on. If it fails,
    log a warning and stop drawing.
    """

    def draw(hook: 'ValVisualizationHook', runner: Runner, *args: Any, **kwargs: Any) -> None:
        if not hook.is_on:
            return
        try:
            step(hook, runner, *args, **kwargs)
        # A training of days must not end because of its pictures: trackers raise errors of any
        # type, and so do datasets and drawing. For other errors than the user's, the log has the
        # traceback.
        except Exception as error:
            hook.is_on = False
            is_expected = isinstance(error, UserError | OSError)
            runner.logger.warning(
                f'the validation images are no longer drawn ({get_first_line(error)}). The '
                'training goes on',
                exc_info=None if is_expected else error,
            )

    return draw


@HOOKS.register_module()
class ValVisualizationHook(DrawingHook):
    """Draw what each validation in a training predicts for the same images, beside the ground
    truth.

    The hook writes a grid, ``val_images/epoch_N.jpg`` or ``iter_N.jpg`` in the work dir, and adds
    it to the backends of the runner's visualizer. If drawing fails, the hook logs one warning and
    stops drawing.

    Args:
        score_thr: Confidence threshold of detections.
        images: Number of images in the grid, evenly spaced in the validation data. 0 disables the
            grids.
    """

    def __init__(self, score_thr: float = SCORE_THR, images: int = 8):
        self.score_thr = score_thr
        self.images = images
        self.is_on = False  # whether validation images are drawn
        self.chosen: dict[str, int] = {}  # the index of each chosen image by its name

    def before_train(self, runner: Runner) -> None:
        self.is_on = self.images > 0 and get_rank() == 0

    @stop_if_failing
    def before_val_epoch(self, runner: Runner) -> None:
        """Choose images among those that rank 0 validates.

        Samplers distribute images to ranks round-robin.
        """
        self.predictions: dict[int, Prediction] = {}  # by index
        if self.chosen:
            return
        self.prepare(runner, runner.cfg.val_dataloader.dataset, runner.val_loop)
        num_on_rank = ceil(len(self.dataset) / get_world_size())
        num_chosen = min(self.images, num_on_rank)
        for position in range(num_chosen):
            index = position * num_on_rank // num_chosen * get_world_size()
            self.chosen[get_image_name(self.dataset.get_data_info(index))] = index

    @stop_if_failing
    def after_val_iter(
        self, runner: Runner, outputs: Sequence[BaseDataElement], **kwargs: Any
    ) -> None:
        for sample in outputs:
            index = self.chosen.get(get_image_name(sample))
            if index is not None:
                self.predictions[index] = self.predictor.read_sample(sample)

    @stop_if_failing
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not self.predictions:
            return
        cells = []
        for index, prediction in sorted(self.predictions.items()):
            cells += self.draw(index, prediction, PICTURE_SIDE)
        grid = draw_grid(cells)
        progress = get_progress(runner)
        step = progress.done
        name = f'epoch_{step}.jpg' if progress.unit == 'epoch' else f'iter_{step}.jpg'
        write_image(Path(runner.work_dir, VAL_IMAGES_FOLDER, name), grid)
        for backend in list_vis_backends(runner.visualizer):
            # LocalVisBackend would write the image to the work dir a second time.
            if not isinstance(backend, LocalVisBackend):
                backend.add_image('predictions', np.ascontiguousarray(grid[..., ::-1]), step)


def list_vis_backends(visualizer: Visualizer) -> Iterable[BaseVisBackend]:
    """Return the backends of a visualizer. Its methods write to all of them.

    Goes when it can list them.
    """
    return visualizer._vis_backends.values()
