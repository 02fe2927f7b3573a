"""Change the augmentation in a config: what ``train --augment`` and ``--no-flip`` mean."""

from typing import Any

from mmengine.config import Config

from ..config import get_type_name, iter_unwrapped_datasets
from ..errors import UserError

COLOURS = ('PhotoMetricDistortion', 'ColorJitter')
RANDOM_RESIZES = ('RandomChoice', 'RandomChoiceResize', 'RandomResize', 'RandomResizedCrop')
# By default_scope. Segmentors have colours in light too.
STRONG = {
    'mmdet': [{'type': 'PhotoMetricDistortion'}],
    'mmseg': [{'type': 'RandomRotate', 'prob': 0.5, 'degree': 20, 'seg_pad_val': 255}],
    'mmpretrain': [
        {'type': 'ColorJitter', 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4},
        {'type': 'RandomErasing', 'erase_prob': 0.25, 'mode': 'rand'},
    ],
}


def set_augmentation(cfg: Config, level: str, flip: bool = True) -> None:
    """Set the augmentation of a config's training images, with or without random flips.

    ``level`` is a value of ``--augment``: none resizes only (and crops, for a segmentor), light is the template's
    augmentation, and strong adds :data:`STRONG`.

    Raises:
        UserError: The config does not resize at random, so it is unknown what to change.
    """
    steps = next(iter_unwrapped_datasets(cfg.train_dataloader.dataset)).pipeline
    if level == 'none' or not flip:
        steps[:] = [step for step in steps if get_type_name(step) != 'RandomFlip']
    if level == 'light':
        return
    position = next((i for i, step in enumerate(steps) if get_type_name(step) in RANDOM_RESIZES), None)
    if position is None:
        raise UserError(
            f'{level} augmentation is for pipelines with {", ".join(RANDOM_RESIZES[:-1])} or {RANDOM_RESIZES[-1]}. '
            "Use 'light', or change the pipeline in the config"
        )
    if level == 'none':
        steps[position : position + 1] = list_resizes(cfg)
        steps[:] = [step for step in steps if get_type_name(step) not in COLOURS]
        return
    steps[-1:-1] = STRONG[cfg.default_scope]
    if cfg.default_scope == 'mmdet':
        scale = list_resizes(cfg)[0]['scale']
        steps[position : position + 1] = [
            {'type': 'RandomResize', 'scale': scale, 'ratio_range': (0.5, 1.5), 'keep_ratio': True},
            # No larger than without augmentation, so that no more memory is needed.
            {'type': 'RandomCrop', 'crop_size': (max(scale), max(scale)), 'allow_negative_crop': True},
        ]


def list_resizes(cfg: Config) -> list[dict[str, Any]]:
    """Return the transforms that resize and crop validation images."""
    steps = next(iter_unwrapped_datasets(cfg.val_dataloader.dataset)).pipeline
    return [step for step in steps if get_type_name(step) in ('Resize', 'ResizeEdge', 'CenterCrop')]
