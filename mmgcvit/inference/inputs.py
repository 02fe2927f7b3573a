"""Find the images and videos that files, folders and glob patterns name, and read the frames of videos."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import numpy as np

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.ts')
# Frames per second of a video whose header has no frame rate.
DEFAULT_FRAME_RATE = 25.0


@dataclass
class Inputs:
    """The paths of images and of videos, each list in the order of the command line."""

    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return [*self.images, *self.videos]


def find_inputs(names: Sequence[str]) -> Inputs:
    """Find images and videos by files, folders and glob patterns. A folder is searched without its subfolders."""
    inputs = Inputs()
    for name in dict.fromkeys(names):
        for file in list_files(name):
            # A file that the user names counts as an image if it has no video suffix.
            (inputs.videos if file.lower().endswith(VIDEO_SUFFIXES) else inputs.images).append(file)
    return inputs


def list_files(name: str) -> list[str]:
    """List a file, or the images and videos of a folder or glob pattern. Raise a UserError if there are none."""
    if Path(name).is_file():
        return [name]
    pattern = os.path.join(glob.escape(name), '*') if Path(name).is_dir() else name  # noqa: PTH118
    files = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [file for file in files if file.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))]
    if not files and not glob.has_magic(name) and not Path(name).exists():
        raise UserError(f'there is no file or folder {name}')
    if not files:
        hint = f". For images in its subfolders, use '{name}/**/*', with the quotes" if Path(name).is_dir() else ''
        raise UserError(f'{name}: no image or video found{hint}')
    return files


def read_frames(video: str) -> Iterator[np.ndarray]:
    """Yield the frames of a video file, (height, width, 3) uint8 in BGR order."""
    import cv2

    capture = cv2.VideoCapture(video)
    try:
        while (read := capture.read())[0]:
            yield read[1]
    finally:
        capture.release()


def get_frame_rate(video: str) -> float:
    """Return the frames per second of a video file. Raise a UserError if it cannot be opened."""
    import supervision as sv

    try:
        return sv.VideoInfo.from_video_path(video).fps or DEFAULT_FRAME_RATE
    # supervision raises a plain Exception.
    except Exception:
        raise UserError(f'{video} cannot be opened as a video') from None
