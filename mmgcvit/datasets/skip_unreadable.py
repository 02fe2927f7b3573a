"""Replace training images that cannot be loaded by other samples."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import takewhile
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log

from ..errors import UserError, escape_controls, get_first_line
from ..host.config import get_type_name
from ..host.datasets import is_remote, iter_unwrapped_datasets
from ..registry import TRANSFORMS
from .opening import ImageError, decoder_errors

Results = dict[str, Any]  # a sample, which transforms change


@TRANSFORMS.register_module()
class SkipUnreadable(BaseTransform):
    """Run a pipeline's transforms. If a file cannot be read, or a transform of another package
    fails on it, return None instead of a sample, and log the file once in each worker.

    mmengine's datasets then draw another sample with NumPy's global random generator, which this
    project's loops seed for each sample, so the other samples stay the same. Datasets in test mode
    do not draw another sample.

    Args:
        transforms: The configs of the pipeline's loading transforms.
        augmentations: The configs of its other transforms.
        unreadable_images: How many files may fail in each dataloader worker until a UserError is
            raised.
    """

    def __init__(
        self,
        transforms: Sequence[dict[str, Any]],
        augmentations: Sequence[dict[str, Any]],
        unreadable_images: int,
    ):
        self.load = Compose(transforms)
        self.augment = Compose(augmentations)
        self.max_unreadable = unreadable_images
        self.unreadable: set[str] = set()

    def transform(self, results: Results) -> Results | None:
        """Load the sample whose files are ``img_path`` and, if present, ``seg_map_path``."""
        # Keep the annotated size, because the transforms overwrite it with the loaded size.
        annotated_size = results.get('width'), results.get('height')
        files = [results['img_path'], results.get('seg_map_path')]
        try:
            loaded = run_transforms(self.load, results)
            if loaded is None:
                raise ImageError('nothing can be read from it')
            size = loaded['ori_shape'][::-1]
            # The sizes differ, for example, after an EXIF rotation.
            if None not in annotated_size and size != annotated_size:
                sizes = '{} x {}, but the annotations say {} x {}'
                raise ImageError(f'it is {sizes.format(*size, *annotated_size)}')
            return run_transforms(self.augment, loaded)
        except (OSError, ImageError) as error:
            self.report(' with '.join(filter(None, files)), error)
        return None

    def report(self, name: str, error: Exception) -> None:
        """Log why a file failed, once. Raise a UserError if too many have failed."""
        if name in self.unreadable:
            return
        self.unreadable.add(name)
        message = f'{name} cannot be loaded ({get_first_line(error)})'
        if len(self.unreadable) > self.max_unreadable:
            raise UserError(
                f'{message}, after {self.max_unreadable} others. Repair them ('
                "'mmgcvit check-data CONFIG' lists them), or set data_checks.unreadable_images=N"
            ) from error
        message += (
            f' and is replaced by another sample ({len(self.unreadable)} of at most '
            f'{self.max_unreadable})'
        )
        # Log with level ERROR, because ranks other than 0 print nothing below it.
        print_log(escape_controls(message), 'current', logging.ERROR)


def run_transforms(transforms: Compose, results: Results) -> Results | None:
    """Run transforms, until one returns None.

    Decoders and augmentations of other packages raise errors of any class on damaged files and
    extreme sizes, which become ImageErrors. Those of this package raise what they raise.
    """
    sample: Results | None = results
    for transform in transforms.transforms:
        is_own = type(transform).__module__.startswith('mmgcvit.')
        with nullcontext() if is_own else decoder_errors():
            sample = transform(sample)
        if sample is None:
            return None
    return sample


def skip_unreadable(cfg: Config, max_unreadable: int) -> None:
    """Wrap training pipelines that load images, also those of mmdet's PipelineSwitchHook, in
    place.
    """
    datasets = iter_unwrapped_datasets((cfg.get('train_dataloader') or {}).get('dataset'))
    owners = [(dataset, 'pipeline') for dataset in datasets if not is_remote(dataset)]
    if owners:
        owners += [(hook, 'switch_pipeline') for hook in cfg.get('custom_hooks') or ()]
    for owner, name in owners:
        pipeline = list(owner.get(name) or [])
        loading = list(takewhile(is_loading, pipeline))
        if loading:
            wrapped = {
                'type': 'mmgcvit.SkipUnreadable',
                'transforms': loading,
                'unreadable_images': max_unreadable,
                'augmentations': pipeline[len(loading) :],
            }
            owner[name] = [wrapped]


def is_loading(transform: Mapping[str, Any]) -> bool:
    return get_type_name(transform).startswith(('Load', 'ApplyExif'))
