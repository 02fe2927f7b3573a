"""Hooks for validations: draw predictions of the same images beside their ground truth, and log the
loss.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend

from ...config import iter_unwrapped_datasets
from ...errors import get_first_line
from ...evaluation.grids import draw_cells, draw_grid
from ...evaluation.samples import build_dataset, load_sample
from ...evaluation.scoring import score_image, summarise_confusion_matrix
from ...files import write_image
from ...inference.loading import make_predictor, silence_output
from ...inference.results import Prediction
from ...mmengine_utils import get_image_name, unwrap_model
from ...private_api import list_vis_backends
from ...registry import HOOKS
from ...tasks import TASK_BY_NAME
from ..loops import TiledLoop, get_length

FOLDER = 'val_images'  # name of the folder for grids in the work dir


@HOOKS.register_module()
class ValVisualizationHook(Hook):
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

    def __init__(self, score_thr: float = 0.3, images: int = 8) -> None:
        self.score_thr, self.images = score_thr, images
        self.is_on = False  # whether validation images are drawn
        self.chosen: dict[
            str, int
        ] = {}  # the index in the dataset of each chosen image, by the image's name
        self.predictions: dict[int, Prediction] = {}

    def before_train(self, runner: Runner) -> None:
        self.is_on = self.images > 0 and get_rank() == 0

    def before_val_epoch(self, runner: Runner) -> None:
        self.predictions = {}
        if not self.chosen:
            self.attempt(self.choose_images, runner)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.attempt(self.keep_predictions, runner, outputs)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        if self.predictions:
            self.attempt(self.write_grid, runner)

    def attempt(self, step: Any, runner: Runner, *arguments: Any) -> None:
        """Call ``step``, a method of this hook, if drawing is on.

        If it fails, log a warning and stop drawing.
        """
        try:
            if self.is_on:
                step(runner, *arguments)
        except Exception as error:
            self.is_on = False
            reason = get_first_line(error)
            runner.logger.warning(
                f'the validation images are no longer drawn ({reason}). The training goes on'
            )

    def choose_images(self, runner: Runner) -> None:
        """Choose images among those that rank 0 validates.

        Samplers distribute images to ranks round-robin.
        """
        scope, settings = runner.cfg.default_scope, runner.cfg.val_dataloader.dataset
        with silence_output():
            # Images that are validated in tiles have too many masks for the memory.
            self.dataset = build_dataset(
                settings, scope, masks=not isinstance(runner.val_loop, TiledLoop)
            )
        # The predictor only converts outputs of the model.
        meta, (first, *_) = (
            {'dataset_meta': self.dataset.metainfo},
            iter_unwrapped_datasets(settings),
        )
        options = {'score_thr': self.score_thr} if scope == 'mmdet' else {}
        self.predictor = make_predictor(unwrap_model(runner), scope, first, meta, **options)
        num_on_rank = -(-len(self.dataset) // get_world_size())
        num_chosen = min(self.images, num_on_rank)
        indices = [
            position * num_on_rank // num_chosen * get_world_size()
            for position in range(num_chosen)
        ]
        self.chosen = {
            get_image_name(self.dataset.get_data_info(index)): index for index in indices
        }

    def keep_predictions(self, runner: Runner, outputs: Any) -> None:
        for sample in outputs:
            if get_image_name(sample) in self.chosen:
                self.predictions[self.chosen[get_image_name(sample)]] = self.predictor.read_sample(
                    sample
                )

    def write_grid(self, runner: Runner) -> None:
        unit, step, _ = get_length(runner)
        cells = []
        for index, prediction in sorted(self.predictions.items()):
            path, image, ground_truth = load_sample(self.dataset, index, self.predictor.classes)
            score, counts = score_image(ground_truth, prediction, self.predictor.classes)
            summary = summarise_confusion_matrix(counts, self.predictor.classes)
            title = f'{path.name}, {TASK_BY_NAME[self.predictor.task].score} {score:.2f}: {summary}'
            cells += draw_cells(title, image, self.predictor.palette, ground_truth, prediction)
        grid = draw_grid(cells)
        write_image(
            Path(runner.work_dir, FOLDER, f'{"epoch" if unit == "epoch" else "iter"}_{step}.jpg'),
            grid,
        )
        for backend in list_vis_backends(runner.visualizer):
            # LocalVisBackend would write the image to the work dir a second time.
            if not isinstance(backend, LocalVisBackend):
                backend.add_image('predictions', np.ascontiguousarray(grid[..., ::-1]), step)


@HOOKS.register_module()
class ValLossHook(Hook):
    """Log ``val_loss``, the mean training loss of the validation images without augmentation, by a
    second forward pass.

    Objects that are sampled for the loss are the same at each validation. As mmdet's metrics do,
    this hook expects that the pipeline loads boxes and masks after it has resized the image, so
    that they have the size of the file.
    """

    def before_val_epoch(self, runner: Runner) -> None:
        self.losses: list[torch.Tensor] = []

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        model = unwrap_model(runner)
        batch = model.data_preprocessor(data_batch, training=False)
        images, samples = batch['inputs'], batch['data_samples']
        scale_objects(samples)
        # Maps of different sizes cannot be stacked, so segmentors and detectors take one image at a
        # time.
        size = len(images) if 'gt_label' in samples[0] else 1
        with torch.random.fork_rng([images.device] if images.is_cuda else []):
            # DINO's loss needs queries for denoising, which it only makes in training. Its parts
            # stay in eval mode.
            model.training = True
            for start in range(0, len(images), size):
                part = slice(start, start + size)
                torch.manual_seed(0)
                losses = model(images[part], samples[part], mode='loss')
                self.losses += [model.parse_losses(losses)[0]] * len(samples[part])
            model.training = False

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        loss = torch.stack(self.losses).mean()
        all_reduce(loss, 'mean')
        runner.message_hub.update_scalar('val/val_loss', loss.item())
        # For save_best and EarlyStoppingHook; of no detections there are none, and 'auto' takes the
        # first
        if metrics:
            metrics['val_loss'] = loss.item()


def scale_objects(samples: list[Any]) -> None:
    """Scale the boxes and masks of a detector's samples, in place, from the size of the image's
    file to its input.
    """
    for sample in samples:
        for name in ('gt_instances', 'ignored_instances'):
            if (objects := sample.get(name)) is not None:
                objects.bboxes = objects.bboxes * objects.bboxes.new_tensor(sample.scale_factor * 2)
                if 'masks' in objects:  # img_shape may include padding
                    shape = [
                        round(x * y)
                        for x, y in zip(sample.ori_shape, sample.scale_factor[::-1], strict=True)
                    ]
                    objects.masks = objects.masks.resize(shape).pad(sample.batch_input_shape)
