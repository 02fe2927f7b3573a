"""What a user names to be looked at: images, folders, globs, videos, cameras."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.checks.images import ENDINGS
from ..errors import UserError
from ..files import from_root

VIDEO_ENDINGS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.ts')
CAMERA, CAMERAS = re.compile(r'camera:(\d+)'), 'camera:'
GLOB = re.compile(r'[*?\[]')


@dataclass
class Inputs:
    """What is to be looked at, each once, in the order in which it was named.

    Attributes:
        images: Files.
        videos: Files.
        cameras: Their numbers.
        left_out: Files of folders and globs that are neither images nor videos by their names.
    """

    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return [*self.images, *self.videos]


def find_inputs(named: Sequence[str]) -> Inputs:
    """Find what is named.

    Args:
        named: Files; folders, whose images and videos are taken, not those of folders below; patterns with ``*``,
            ``?``, ``[...]``, or ``**`` for all folders below; ``camera:N``.

    Raises:
        UserError: Something is not there, or a folder or pattern has nothing to look at.
    """
    inputs = Inputs()
    for name in named:
        if camera := CAMERA.fullmatch(name):
            inputs.cameras.append(int(camera[1]))
        elif Path(name).is_dir():
            files = [path for path in sorted(Path(name).iterdir()) if path.is_file() and not path.name.startswith('.')]
            take(inputs, name, files)
        elif GLOB.search(name) and not Path(name).exists():
            take(inputs, name, found_by(name))
        elif name.startswith(CAMERAS) and not Path(name).exists():
            raise UserError(f'{name}: cameras are camera:0, camera:1, ...')
        elif not Path(name).exists():
            raise UserError(f'{name}: there is no such file or folder')
        else:
            # That a file is broken is found when its turn comes, so that one of many stops nothing.
            (inputs.videos if is_video(name) else inputs.images).append(name)
    for names in (inputs.images, inputs.videos, inputs.cameras):
        names[:] = each_once(names)
    return inputs


def found_by(pattern: str) -> list[Path]:
    """The files that a pattern hits.

    Raises:
        UserError: There is none.
    """
    found = [Path(path) for path in sorted(glob.glob(pattern, recursive=True)) if Path(path).is_file()]  # noqa: PTH207
    if not found:
        raise UserError(f'{pattern}: no file is called so')
    return found


def take(inputs: Inputs, name: str, paths: Sequence[Path]) -> None:
    """Take the images and videos of a folder or pattern.

    Raises:
        UserError: It has none.
    """
    images = [str(path) for path in paths if path.suffix.lower() in ENDINGS]
    videos = [str(path) for path in paths if is_video(str(path))]
    if not images and not videos:
        below = f"; for those in folders below it, name '{Path(name) / '**' / '*'}'" if Path(name).is_dir() else ''
        which = 'its only file is not' if len(paths) == 1 else f'none of its {len(paths)} files is'
        raise UserError(f'{name}: {which} an image or a video by its name{below}')
    inputs.images += images
    inputs.videos += videos
    inputs.left_out += [str(path) for path in paths if str(path) not in {*images, *videos}]


def is_video(name: str) -> bool:
    """Whether a file is a video by its name."""
    return name.lower().endswith(VIDEO_ENDINGS)


def each_once(names: Sequence[Any]) -> list[Any]:
    """Names without those of what was named before, in other words perhaps."""
    found = {}
    for name in names:
        found.setdefault(from_root(name) if isinstance(name, str) else name, name)
    return list(found.values())
