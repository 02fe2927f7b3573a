"""What a user names to be looked at: images, folders, patterns, videos, cameras; and the frames of these two."""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files import IMAGE_ENDINGS, from_root

if TYPE_CHECKING:
    import cv2
    import numpy as np

VIDEO_ENDINGS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.ts')
CAMERA = re.compile(r'camera:(\d+)')
PATTERN = re.compile(r'[*?\[]')
# Of videos that do not say their own, and no faster than any is.
FRAMES_PER_SECOND, MOST_FRAMES_PER_SECOND = 25.0, 240.0
FRAMES_OF_A_CAMERA = 100


@dataclass
class Inputs:
    """What is to be looked at, files and numbers of cameras, each once, in the order in which it was named."""

    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)
    # Files of folders and patterns that are neither images nor videos by their names.
    left_out: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return [*self.images, *self.videos]


def find_inputs(named: Sequence[str]) -> Inputs:
    """Find files; folders, of which images and videos are taken, not those of folders below; patterns; ``camera:N``."""
    inputs = Inputs()
    for name in named:
        path = Path(name)
        if camera := CAMERA.fullmatch(name):
            inputs.cameras.append(int(camera[1]))
        elif path.is_dir():
            take(inputs, name, [path for path in sorted(path.iterdir()) if not path.name.startswith('.')])
        elif path.exists():
            # That a file is broken is found when its turn comes, so that one of many stops nothing.
            (inputs.videos if is_video(name) else inputs.images).append(name)
        elif PATTERN.search(name):
            take(inputs, name, [Path(path) for path in sorted(glob.glob(name, recursive=True))])  # noqa: PTH207
        elif name.startswith('camera:'):
            raise UserError(f'{name}: cameras are camera:0, camera:1, ...')
        else:
            raise UserError(f'{name}: there is no such file or folder')
    inputs.images, inputs.videos = each_once(inputs.images), each_once(inputs.videos)
    inputs.cameras = list(dict.fromkeys(inputs.cameras))
    if inputs.images and not inputs.videos and not inputs.cameras:
        import cv2

        if not any(name.lower().endswith(IMAGE_ENDINGS) or cv2.haveImageReader(name) for name in inputs.images):
            raise UserError(f'{inputs.images[0]} is neither an image nor a video')
    return inputs


def take(inputs: Inputs, name: str, paths: Sequence[Path]) -> None:
    """Take the images and videos of a folder or pattern, which has to have one."""
    files = [str(path) for path in paths if path.is_file()]
    is_folder = Path(name).is_dir()
    if not files and not is_folder:
        raise UserError(f'{name}: no file is called so')
    images = [path for path in files if path.lower().endswith(IMAGE_ENDINGS)]
    videos = [path for path in files if is_video(path)]
    if not images and not videos:
        below = f"; for those in folders below it, name '{Path(name) / '**' / '*'}'" if is_folder else ''
        which = 'its only file is not' if len(files) == 1 else f'none of its {len(files)} files is'
        raise UserError(f'{name}: {which} an image or a video by its name{below}')
    inputs.images += images
    inputs.videos += videos
    inputs.left_out += [path for path in files if path not in {*images, *videos}]


def each_once(files: Sequence[str]) -> list[str]:
    """Files without those that were named before, in other words perhaps."""
    found: dict[Path, str] = {}
    for file in files:
        found.setdefault(from_root(file), file)
    return list(found.values())


def is_video(name: str) -> bool:
    """Whether a file is a video by its name."""
    return name.lower().endswith(VIDEO_ENDINGS)


@dataclass(frozen=True)
class Frames:
    """An open video or camera: its frames, (height, width, 3) uint8, blue, green, red."""

    name: str
    per_second: float
    # By the file's header, which may be wrong; None where nobody knows.
    expected: int | None
    images: Iterator[np.ndarray]


@contextmanager
def opened(source: str | int, most: int | None = None) -> Iterator[Frames]:
    """A video file, or a camera by its number; of it so many frames, None for all."""
    import cv2

    from .images import check_is_file

    if isinstance(source, int):
        name, reason = f'camera:{source}', f'there is no camera {source} that can be opened (/dev/video{source})'
    else:
        name, reason = source, f'{source} cannot be opened as a video'
        check_is_file(source)
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise UserError(reason)
        rate, announced = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # A file that was cut may announce none, or any number.
        numbers = [int(announced)] if 0 < announced < math.inf and not isinstance(source, int) else []
        yield Frames(
            name=name,
            per_second=float(rate) if 0 < rate <= MOST_FRAMES_PER_SECOND else FRAMES_PER_SECOND,
            expected=min([*numbers, *([] if most is None else [most])], default=None),
            images=islice(frames_of(capture), most),
        )
    finally:
        capture.release()


def frames_of(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """All frames that are left."""
    is_there, frame = capture.read()
    while is_there:
        yield frame
        is_there, frame = capture.read()
