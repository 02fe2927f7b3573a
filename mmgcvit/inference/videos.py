"""Frames of videos and cameras in, a video out."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import cv2
import numpy as np

from ..datasets.checks.images import problem_of
from ..errors import UserError
from .images import REASONS

# Of sources that do not say their own, and no faster than any is.
FRAMES_PER_SECOND, MOST_FRAMES_PER_SECOND = 25.0, 240.0
# What OpenCV's wheels can write by themselves.
CODEC, ENDING = 'mp4v', '.mp4'


@dataclass(frozen=True)
class Frames:
    """An open video or camera.

    Attributes:
        name: For messages.
        capture: OpenCV's.
        announced: How many frames there are by the file's header, which may be wrong; None where it does not say.
        most: So many are taken; None for all.
        per_second: Frames a second.
    """

    name: str
    capture: cv2.VideoCapture
    announced: int | None
    most: int | None
    per_second: float

    @property
    def expected(self) -> int | None:
        """How many frames will come; None where nobody knows."""
        return min((number for number in (self.announced, self.most) if number is not None), default=None)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames, (height, width, 3) uint8, blue, green, red."""
        for _ in count() if self.most is None else range(self.most):
            is_there, frame = self.capture.read()
            if not is_there:
                return
            yield frame


@contextmanager
def open_video(path: str, most: int | None = None) -> Iterator[Frames]:
    """A video file, as a context.

    Args:
        path: The file.
        most: So many frames at most; None for all.

    Raises:
        UserError: It cannot be opened.
    """
    problem = problem_of(path)
    if problem is not None:
        raise UserError(f'{path}: {REASONS[problem]}')
    with captured(path, f'{path} cannot be opened as a video') as capture:
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # A file that was cut may announce none, or any number.
        yield Frames(path, capture, int(announced) if 0 < announced < math.inf else None, most, rate_of(capture))


@contextmanager
def open_camera(number: int, frames: int) -> Iterator[Frames]:
    """A camera, as a context.

    Args:
        number: From 0.
        frames: So many are taken.

    Raises:
        UserError: There is none, or it cannot be opened.
    """
    with captured(number, f'there is no camera {number} that can be opened (/dev/video{number})') as capture:
        yield Frames(f'camera:{number}', capture, None, frames, rate_of(capture))


@contextmanager
def captured(source: str | int, otherwise: str) -> Iterator[cv2.VideoCapture]:
    """OpenCV's capture of a source, released afterwards; an :class:`UserError` of these words where there is none."""
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise UserError(otherwise)
        yield capture
    finally:
        capture.release()


def rate_of(capture: cv2.VideoCapture) -> float:
    """Frames a second."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return float(rate) if 0 < rate <= MOST_FRAMES_PER_SECOND else FRAMES_PER_SECOND


def batches_of(frames: Frames, size: int) -> Iterator[list[np.ndarray]]:
    """Frames, so many at a time."""
    iterator = iter(frames)
    while batch := list(islice(iterator, size)):
        yield batch


class VideoWriter:
    """A video file that is written frame by frame, as a context; without a frame there is no file.

    Args:
        path: Ends in .mp4.
        per_second: Frames a second.
    """

    def __init__(self, path: Path, per_second: float) -> None:
        self.path = path
        # OpenCV tells the format by the ending.
        self.unfinished = path.with_name(f'{path.stem}.part{path.suffix}')
        self.per_second = per_second
        self.writer: cv2.VideoWriter | None = None

    def __enter__(self) -> 'VideoWriter':
        return self

    def add(self, frame: np.ndarray) -> None:
        """Write a frame (height, width, 3), blue, green, red; all of the first one's size.

        Raises:
            UserError: OpenCV cannot write it.
        """
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            codec, size = cv2.VideoWriter_fourcc(*CODEC), frame.shape[1::-1]
            self.size = size
            self.writer = cv2.VideoWriter(str(self.unfinished), codec, self.per_second, size)
            if not self.writer.isOpened():
                raise UserError(f'{self.path}: this OpenCV writes no videos ({CODEC}); leave them out: --no-save-vis')
        if frame.shape[1::-1] != self.size:
            frame = cv2.resize(frame, self.size)
        self.writer.write(frame)

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.release()
            if self.unfinished.exists():
                self.unfinished.replace(self.path)
