"""Find the images, videos and cameras that a user names, and read frames of the latter two."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files import IMAGE_ENDINGS

if TYPE_CHECKING:
    import numpy as np

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.ts')
CAMERA = re.compile(r'camera:(\d+)')
# For cameras, which do not tell their frame rate, and the frames taken from one if no number is given.
CAMERA_FRAME_RATE, CAMERA_FRAMES = 25.0, 100


@dataclass
class Inputs:
    """Files and camera numbers, each once, in the order in which they were named."""

    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)
    # Files of folders and patterns that have neither an image's nor a video's suffix.
    left_out: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return [*self.images, *self.videos]


def find_inputs(named: Sequence[str]) -> Inputs:
    """Find files; the images and videos of folders (not of folders below); patterns (``**``); ``camera:N``."""
    inputs, seen = Inputs(), set()
    for name in named:
        if camera := CAMERA.fullmatch(name):
            inputs.cameras.append(int(camera[1]))
            continue
        path = Path(name)
        is_file = path.exists() and not path.is_dir()
        if is_file and not name.lower().endswith((*IMAGE_ENDINGS, *VIDEO_SUFFIXES)):
            import cv2

            # By its content.
            if not cv2.haveImageReader(name):
                raise UserError(f'{name} is neither an image nor a video')
        for file in [name] if is_file else list_files(name):
            if (place := Path(file).absolute()) in seen:
                continue
            seen.add(place)
            if file.lower().endswith(VIDEO_SUFFIXES):
                inputs.videos.append(file)
            elif is_file or file.lower().endswith(IMAGE_ENDINGS):
                inputs.images.append(file)
            else:
                inputs.left_out.append(file)
    inputs.cameras = list(dict.fromkeys(inputs.cameras))
    return inputs


def list_files(name: str) -> list[str]:
    """The files of a folder or pattern; a UserError if none is an image or a video by its suffix."""
    path = Path(name)
    if path.is_dir():
        files = [str(each) for each in sorted(path.iterdir()) if each.is_file() and not each.name.startswith('.')]
    elif name.startswith('camera:'):
        raise UserError(f'{name}: cameras are camera:0, camera:1, ...')
    else:
        files = [each for each in sorted(glob.glob(name, recursive=True)) if Path(each).is_file()]  # noqa: PTH207
        if not files:
            raise UserError(f'{name}: there is no such file or folder')
    if not any(file.lower().endswith((*IMAGE_ENDINGS, *VIDEO_SUFFIXES)) for file in files):
        below = f"; for files in folders below it, name '{path / '**' / '*'}'" if path.is_dir() else ''
        raise UserError(f'{name}: none of its {len(files)} files is an image or a video by its suffix{below}')
    return files


def read_frames(source: str | int) -> Iterator[np.ndarray]:
    """The frames of a video file, or of a camera by its number: (height, width, 3) uint8, blue, green, red."""
    import cv2
    import supervision as sv

    if isinstance(source, str):
        yield from sv.get_video_frames_generator(source)
        return
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise UserError(f'there is no camera {source} that can be opened (/dev/video{source})')
        while (read := capture.read())[0]:
            yield read[1]
    finally:
        capture.release()


def get_frame_rate(source: str | int) -> float:
    """Frames per second of a video file, by its header, or of a camera; a UserError for a file that is not a video."""
    import supervision as sv

    from .images import check_file

    if isinstance(source, int):
        return CAMERA_FRAME_RATE
    check_file(source)
    try:
        return sv.VideoInfo.from_video_path(source).fps or CAMERA_FRAME_RATE
    # supervision raises a plain Exception.
    except Exception:
        raise UserError(f'{source} cannot be opened as a video') from None
