"""Replace images that cannot be loaded and augmented during training by other samples."""

import logging
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log

from ..config import get_type_name, iter_unwrapped_datasets
from ..errors import UserError, escape_controls, get_first_line
from ..registry import TRANSFORMS
from .checks.paths import is_remote


@TRANSFORMS.register_module()
class SkipUnreadable(BaseTransform):
    """Run a pipeline's transforms. Return None instead of a sample if one fails, and log a file once a worker.

    mmengine's datasets then draw another sample with NumPy's global random generator, which this project's loops seed
    for each sample, so the other samples stay the same. Datasets in test mode do not draw another sample.

    Args:
        transforms: The configs of the pipeline's loading transforms.
        augmentations: The configs of its other transforms.
        unreadable_images: How many files may fail in each dataloader worker until a UserError is raised.
    """

    def __init__(
        self, transforms: Sequence[dict[str, Any]], unreadable_images: int, augmentations: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.load, self.augment = Compose(transforms), Compose(augmentations)
        self.max_unreadable = unreadable_images
        self.unreadable: set[str] = set()

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load the sample whose files are ``img_path`` and, if present, ``seg_map_path``."""
        # Keep the annotated size, because the transforms overwrite it with the loaded size.
        annotated_size = results.get('width'), results.get('height')
        files = [results[key] for key in ('img_path', 'seg_map_path') if results.get(key) is not None]
        try:
            loaded = self.load(results)
            size = loaded['ori_shape'][::-1]
            # The sizes differ, for example, after an EXIF rotation.
            if None not in annotated_size and size != annotated_size:
                sizes = [f'{width} x {height}' for width, height in (size, annotated_size)]
                raise ValueError(f'it is {sizes[0]}, but the annotations say {sizes[1]}')
            return self.augment(loaded)
        # Decoders and augmentations raise errors of any class on damaged files and extreme sizes.
        except Exception as error:
            name, reason = ' with '.join(files), get_first_line(error)
        if name not in self.unreadable:
            self.unreadable.add(name)
            if len(self.unreadable) > self.max_unreadable:
                raise UserError(
                    f'{name} cannot be loaded ({reason}), after {self.max_unreadable} other files. Repair or remove '
                    "them ('mmgcvit check-data CONFIG' lists them) or set --cfg-options data_checks.unreadable_images=N"
                )
            message = escape_controls(f'{name} cannot be loaded ({reason}) and is replaced by another sample')
            # Log with level ERROR, because ranks other than 0 print nothing below it.
            print_log(f'{message} ({len(self.unreadable)} of at most {self.max_unreadable})', 'current', logging.ERROR)
        return None


def skip_unreadable(cfg: Config, max_unreadable: int) -> None:
    """Wrap training pipelines that load images, also those of mmdet's PipelineSwitchHook, in place."""
    datasets = iter_unwrapped_datasets((cfg.get('train_dataloader') or {}).get('dataset'))
    owners = [(dataset, 'pipeline') for dataset in datasets if not is_remote(dataset)]
    owners += [(hook, 'switch_pipeline') for hook in cfg.get('custom_hooks') or () if owners]
    for owner, name in owners:
        pipeline = list(owner.get(name) or [])
        loading = list(takewhile(lambda settings: get_type_name(settings).startswith(('Load', 'ApplyExif')), pipeline))
        if loading:
            wrapped = {'type': 'mmgcvit.SkipUnreadable', 'transforms': loading, 'unreadable_images': max_unreadable}
            owner[name] = [{**wrapped, 'augmentations': pipeline[len(loading) :]}]
