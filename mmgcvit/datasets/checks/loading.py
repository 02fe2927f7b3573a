"""Skip images that turn out to be unreadable during training."""

import logging
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log

from ...errors import UserError, get_first_line
from ...registry import TRANSFORMS
from .sources import get_type_name, is_remote, iter_leaf_datasets


class TooManyUnreadableError(UserError):
    """More images are unreadable than allowed. torch makes it again in the main process, from a worker's traceback."""

    def __init__(self, message: str) -> None:
        last_line = message.strip().splitlines()[-1]
        super().__init__(last_line.removeprefix(f'{__name__}.{type(self).__name__}: '))


@TRANSFORMS.register_module()
class SkipUnreadable(BaseTransform):
    """Run transforms that load an image and its annotations; return None if they fail.

    mmengine's data sets then draw another sample, from NumPy's global random numbers, which this project's loops seed
    for each sample: the others are those of a run without the unreadable file. Each data worker logs a file once. For
    training only: data sets in test mode do not draw another.

    Args:
        transforms: The transforms that load.
        unreadable_images: How many different files may fail in a data worker.

    Raises:
        UserError: In a call, when one more fails.
    """

    def __init__(self, transforms: Sequence[dict[str, Any]], unreadable_images: int) -> None:
        self.load = Compose(transforms)
        self.most = unreadable_images
        self.unreadable: set[str] = set()

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load a sample, named by ``img_path`` and maybe ``seg_map_path``."""
        # The transforms write the loaded size under these keys.
        annotated = results.get('width'), results.get('height')
        files = [results[key] for key in ('img_path', 'seg_map_path') if results.get(key) is not None]
        try:
            loaded = self.load(results)
            size = loaded['ori_shape'][::-1]
            # For example turned by its EXIF orientation.
            if None not in annotated and size != annotated:
                raise ValueError(f'it is {size[0]} x {size[1]}, annotated as {annotated[0]} x {annotated[1]}')
        # Decoders raise errors of any class on damaged files.
        except Exception as error:
            name, reason = ' with '.join(files), get_first_line(error)
        else:
            return loaded
        if name not in self.unreadable:
            self.unreadable.add(name)
            if len(self.unreadable) > self.most:
                raise TooManyUnreadableError(
                    f'{name} cannot be loaded ({reason}), and {self.most} others could not: more than data_checks.'
                    f"unreadable_images={self.most} allows; 'mmgcvit check-data CONFIG' names all that are unreadable"
                )
            text = f'{name} cannot be loaded ({reason}): another image takes its place'
            # The screen shows only errors of other processes than rank 0.
            print_log(f'{text} ({len(self.unreadable)} of at most {self.most})', 'current', logging.ERROR)
        return None


def skip_unreadable(cfg: Config, most: int) -> None:
    """Wrap the transforms that load in a config's training pipelines in :class:`SkipUnreadable`, in place."""
    for dataset in iter_leaf_datasets((cfg.get('train_dataloader') or {}).get('dataset')):
        pipeline = list(dataset.get('pipeline') or [])
        loading = list(takewhile(lambda step: get_type_name(step).startswith(('Load', 'ApplyExif')), pipeline))
        if loading and not is_remote(dataset):
            wrapped = {'type': 'mmgcvit.SkipUnreadable', 'transforms': loading, 'unreadable_images': most}
            dataset.pipeline = [wrapped, *pipeline[len(loading) :]]
