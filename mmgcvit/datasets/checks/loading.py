"""Skip images that turn out to be unreadable during training."""

import logging
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log

from ...errors import UserError, first_line
from ...registry import TRANSFORMS
from .images import problem_of
from .sources import is_remote, leaf_datasets, type_name

# The beginnings of names of transforms that read files.
LOADING = ('Load', 'ApplyExifAsAnnotated')


class TooManyDamagedError(UserError):
    """More images are unreadable than allowed. torch makes it again in the main process, from a worker's traceback."""

    def __init__(self, message: str) -> None:
        last_line = message.strip().splitlines()[-1]
        super().__init__(last_line.removeprefix(f'{__name__}.{type(self).__name__}: '))


@TRANSFORMS.register_module()
class SkipUnreadable(BaseTransform):
    """Run transforms that load an image and its annotations; return None if they fail.

    mmengine's data sets then draw another sample, from NumPy's global random numbers, which this project's loops seed
    for each sample: the others are those of a run without the damaged file. Each data worker logs a file once. For
    training only: data sets in test mode do not draw another.

    Args:
        transforms: The transforms that load.
        damaged_images: How many different files may fail in a data worker.

    Raises:
        UserError: In a call, when one more fails.
    """

    def __init__(self, transforms: Sequence[dict[str, Any]], damaged_images: int) -> None:
        self.load = Compose(transforms)
        self.most = damaged_images
        self.damaged: set[str] = set()

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load a sample, named by ``img_path`` and maybe ``seg_map_path``."""
        # The transforms write the loaded size under these keys.
        annotated = results.get('width'), results.get('height')
        files = [results[key] for key in ('img_path', 'seg_map_path') if results.get(key) is not None]
        try:
            for file in files:
                # A pipe would block.
                issue = problem_of(file)
                if issue is not None:
                    raise ValueError(f'{file} is one of the {issue.what}')
            loaded = self.load(results)
            if loaded is None:
                raise ValueError('nothing was loaded')
            size = loaded['ori_shape'][::-1]
            # For example turned by its EXIF orientation.
            if None not in annotated and size != annotated:
                raise ValueError(f'it is {size[0]} x {size[1]}, annotated as {annotated[0]} x {annotated[1]}')
        except MemoryError:
            raise
        # Decoders raise errors of any class on damaged files.
        except Exception as error:
            self.count(' with '.join(files), first_line(error))
            return None
        return loaded

    def count(self, name: str, reason: str) -> None:
        """Log a file that cannot be loaded, and stop the run if there are too many."""
        if name in self.damaged:
            return
        self.damaged.add(name)
        if len(self.damaged) > self.most:
            raise TooManyDamagedError(
                f'{name} cannot be loaded ({reason}), and {self.most} others could not: more than '
                f"data_checks.damaged_images={self.most} allows; 'mmgcvit check-data CONFIG' names all that are damaged"
            )
        text = f'{name} cannot be loaded ({reason}): another image takes its place'
        # The screen shows only errors of other processes than rank 0.
        print_log(f'{text} ({len(self.damaged)} of at most {self.most})', 'current', logging.ERROR)


def skip_damaged(cfg: Config, most: int) -> None:
    """Wrap the transforms that load in a config's training pipelines in :class:`SkipUnreadable`, in place."""
    for dataset in leaf_datasets((cfg.get('train_dataloader') or {}).get('dataset')):
        pipeline = list(dataset.get('pipeline') or [])
        number = next((i for i, step in enumerate(pipeline) if not loads(step)), len(pipeline))
        if number and not is_remote(dataset):
            wrapped = {'type': 'mmgcvit.SkipUnreadable', 'transforms': pipeline[:number], 'damaged_images': most}
            dataset.pipeline = [wrapped, *pipeline[number:]]


def loads(step: dict[str, Any]) -> bool:
    """Whether a transform reads files."""
    return type_name(step).startswith(LOADING)
