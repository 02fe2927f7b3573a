"""Log the loss of the validation images."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from ...host.private_api import run_without_ranks
from ...host.runners import unwrap_model
from ...registry import HOOKS


@HOOKS.register_module()
class ValLossHook(Hook):
    """Log ``val_loss``, the mean training loss of the validation images without augmentation, by a
    second forward pass.

    It does not depend on the number of ranks. Objects that are sampled for the loss are the same at
    each validation. As mmdet's metrics do, this hook expects that the pipeline loads boxes and
    masks after it has resized the image, so that they have the size of the file.
    """

    def before_val_epoch(self, runner: Runner) -> None:
        self.sum = 0.0
        self.num_images = 0
        # Samplers distribute images to ranks round-robin, and repeat some, so that all ranks have
        # as many.
        own = range(get_rank(), len(runner.val_dataloader.dataset), get_world_size())
        self.num_left = len(own)

    def after_val_iter(self, runner: Runner, data_batch: Any, **kwargs: Any) -> None:
        model = unwrap_model(runner)
        batch = model.data_preprocessor(data_batch, training=False)
        images = batch['inputs'][: self.num_left]
        samples = batch['data_samples'][: self.num_left]
        if not samples:
            return
        self.num_left -= len(samples)
        self.num_images += len(samples)
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
                # Not by __call__: SkipNonFiniteStepHook counts the losses of all calls.
                # Losses of some detectors would wait for those of other ranks.
                with run_without_ranks():
                    losses = model.forward(images[part], samples[part], mode='loss')
                loss, _ = model.parse_losses(losses)
                self.sum += loss.double() * len(samples[part])
            model.training = False

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        sums = torch.tensor([float(self.sum), self.num_images], dtype=torch.float64)
        all_reduce(sums)
        loss = (sums[0] / sums[1]).item()
        # mmengine logs the mean of this history: keep no value of earlier validations.
        runner.message_hub.log_scalars.pop('val/val_loss', None)
        runner.message_hub.update_scalar('val/val_loss', loss)
        # For save_best and EarlyStoppingHook. 'auto' takes the first metric, so a loss must not be
        # the only one.
        if metrics:
            metrics['val_loss'] = loss


def scale_objects(samples: Sequence[BaseDataElement]) -> None:
    """Scale the boxes and masks of a detector's samples, in place, from the size of the image's
    file to its input.
    """
    for sample in samples:
        for name in ('gt_instances', 'ignored_instances'):
            objects = sample.get(name)
            if objects is None:
                continue
            objects.bboxes = objects.bboxes * objects.bboxes.new_tensor(sample.scale_factor * 2)
            if 'masks' in objects:
                # img_shape may include padding.
                height, width = sample.ori_shape
                scale_x, scale_y = sample.scale_factor
                shape = round(height * scale_y), round(width * scale_x)
                objects.masks = objects.masks.resize(shape).pad(sample.batch_input_shape)
