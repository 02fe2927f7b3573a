"""Find the images, videos and cameras that a user names, and read frames of the latter two."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files import IMAGE_ENDINGS

if TYPE_CHECKING:
    import numpy as np

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.ts')
CAMERA = 'camera:'
# For cameras, which do not tell their frame rate, and the frames taken from one if no number is given.
CAMERA_FRAME_RATE, CAMERA_FRAMES = 25.0, 100


@dataclass
class Inputs:
    """Files and camera numbers, in the order in which they were named."""

    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    cameras: list[int] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return [*self.images, *self.videos]


def find_inputs(named: Sequence[str]) -> Inputs:
    """Find files; the images and videos of folders (not of folders below); patterns (``**``); ``camera:N``."""
    inputs = Inputs()
    for name in dict.fromkeys(named):
        if name.startswith(CAMERA) and name.removeprefix(CAMERA).isdigit():
            inputs.cameras.append(int(name.removeprefix(CAMERA)))
            continue
        for file in list_files(name):
            (inputs.videos if file.lower().endswith(VIDEO_SUFFIXES) else inputs.images).append(file)
    return inputs


def list_files(name: str) -> list[str]:
    """A file, or the images and videos of a folder or pattern; a UserError if there are none."""
    if Path(name).is_file():
        return [name]
    pattern = os.path.join(glob.escape(name), '*') if Path(name).is_dir() else name  # noqa: PTH118
    files = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [file for file in files if file.lower().endswith((*IMAGE_ENDINGS, *VIDEO_SUFFIXES))]
    if not files:
        raise UserError(
            f'{name}: there is no such image or video, nor one in it; for folders below a folder, name FOLDER/**/*; '
            'cameras are camera:0, camera:1, ...'
        )
    return files


def read_frames(source: str | int) -> Iterator[np.ndarray]:
    """The frames of a video file, or of a camera by its number: (height, width, 3) uint8, blue, green, red."""
    import cv2

    capture = cv2.VideoCapture(source)
    try:
        while (read := capture.read())[0]:
            yield read[1]
    finally:
        capture.release()


def get_frame_rate(source: str | int) -> float:
    """Frames per second of a video file, by its header, or of a camera."""
    import supervision as sv

    if isinstance(source, int):
        return CAMERA_FRAME_RATE
    try:
        return sv.VideoInfo.from_video_path(source).fps or CAMERA_FRAME_RATE
    # supervision raises a plain Exception.
    except Exception:
        raise UserError(f'{source} cannot be opened as a video') from None
