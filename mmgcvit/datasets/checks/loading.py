"""Images that turn out to be damaged while a run trains, counted over all workers that load data for a process."""

import logging
import multiprocessing
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log

from ...errors import UserError, first_line
from ...registry import TRANSFORMS
from .images import TOO_LARGE, in_pixels, is_too_large, problem_of
from .sources import is_remote, leaf_datasets, type_name

# What names of transforms that read files begin with.
LOADING = ('Load', 'ApplyExifAsAnnotated')
# Where a sample names its files.
FILES = ('img_path', 'seg_map_path')


class TooManyDamagedError(UserError):
    """More images are damaged than a run may do without; torch makes one again of what a worker's says."""

    def __init__(self, message: str) -> None:
        # torch puts a worker's traceback before it.
        last_line = message.strip().splitlines()[-1]
        super().__init__(last_line.removeprefix(f'{__name__}.{type(self).__name__}: '))


class DamagedFiles:
    """Files that could not be read, each counted once, in memory that a process and its workers share; so many at most.

    Copies of a data set, and so of this, count together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        # A digest of each file's name: names of any length would not fit. One more than are borne.
        self.digests = multiprocessing.Array('Q', most + 1)
        self.count = multiprocessing.Value('i', 0)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'DamagedFiles':
        return self

    def add(self, path: str) -> int | None:
        """Count a file: how many there are now; None for one that was counted before."""
        digest = int.from_bytes(blake2b(path.encode(), digest_size=8).digest(), 'big')
        with self.digests.get_lock():
            if digest in self.digests[: self.count.value]:
                return None
            if self.count.value <= self.most:
                self.digests[self.count.value] = digest
                self.count.value += 1
            return self.count.value


@TRANSFORMS.register_module()
class SkipUnreadable(BaseTransform):
    """Runs transforms that load an image and its annotations; gives none where they fail.

    mmengine's data sets then draw another sample, from NumPy's global random numbers, which this project's loops seed
    for each sample: the others are those of a run without the damaged file. Each file is named once. For training only:
    data sets in test mode do not draw another.

    Args:
        transforms: What loads.
        damaged_images: So many different files may fail in a process and its workers.

    Raises:
        UserError: In a call, when one more fails.
    """

    def __init__(self, transforms: Sequence[dict[str, Any]], damaged_images: int) -> None:
        self.load = Compose(transforms)
        self.damaged = DamagedFiles(damaged_images)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load a sample, named by ``img_path`` and maybe ``seg_map_path``."""
        # Reading changes what was given, and hosts show the size that the annotations say under the same keys.
        annotated = results.get('width'), results.get('height')
        files = [results[key] for key in FILES if results.get(key) is not None]
        try:
            for file in files:
                problem = problem_of(file) or (TOO_LARGE if is_too_large(file) else None)
                if problem is not None:
                    raise ValueError(f'{file} is one of the {problem.what}')
            loaded = self.load(results)
            if loaded is None:
                raise ValueError('nothing was loaded')
            size = loaded['ori_shape'][::-1]
            # As where EXIF data turn it away.
            if None not in annotated and size != annotated:
                raise ValueError(f'it is {in_pixels(size)}, annotated as {in_pixels(annotated)}')
        except MemoryError:
            raise
        # Decoders raise errors of any class on damaged files.
        except Exception as error:
            reason = first_line(error)
        else:
            return loaded
        named, most = ' with '.join(files), self.damaged.most
        count = self.damaged.add(named)
        if count is not None and count > most:
            raise TooManyDamagedError(
                f'{named} cannot be loaded ({reason}), and {most} others could not: more than '
                f"data_checks.damaged_images={most} allows; 'mmgcvit check-data CONFIG' names all that are damaged"
            )
        if count is not None:
            words = f'{named} cannot be loaded ({reason}): another image takes its place ({count} of at most {most})'
            # Of other processes than the first, the screen shows errors only.
            print_log(words, 'current', logging.ERROR)
        return None


def skip_damaged(cfg: Config, most: int) -> None:
    """Have a config's training draw another image where one cannot be read: the steps that load are wrapped in place.

    So many different files may fail at most.
    """
    for dataset in leaf_datasets((cfg.get('train_dataloader') or {}).get('dataset')):
        pipeline = list(dataset.get('pipeline') or [])
        number = next((i for i, step in enumerate(pipeline) if not loads(step)), len(pipeline))
        if number and not is_remote(dataset):
            wrapped = {'type': 'mmgcvit.SkipUnreadable', 'transforms': pipeline[:number], 'damaged_images': most}
            dataset.pipeline = [wrapped, *pipeline[number:]]


def loads(step: dict[str, Any]) -> bool:
    """Whether a step of a pipeline reads files."""
    return type_name(step).startswith(LOADING)
