"""Many images opened in parallel, all of them or some chosen by chance."""

import os
import random
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.progress import Progress

from .images import Picture, Problem
from .problems import Report

# Pillow and OpenCV decode outside of Python's lock; each thread holds an image or two.
MOST_THREADS = 16


def sample_of(pictures: Sequence[Picture], most: int | None) -> Sequence[Picture]:
    """All pictures, or so many chosen by chance; the training's own random numbers are not touched."""
    if most is None or len(pictures) <= most:
        return pictures
    return random.Random().sample(pictures, most)


def open_all(
    place: str,
    pictures: Sequence[Picture],
    look: Callable[[Picture], list[Problem]],
    report: Report,
    progress: Progress,
) -> None:
    """Look at pictures in threads.

    Args:
        place: The file or folder that names them.
        pictures: The pictures.
        look: Gives a picture's problems.
        report: Gets them.
        progress: Shows how far it is.
    """
    task = progress.add_task(place, total=len(pictures))
    with warnings.catch_warnings(), ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        # Pillow's, of odd metadata and large images.
        warnings.simplefilter('ignore')
        for problems in pool.map(look, pictures):
            for kind, words in problems:
                report.add(kind, place, [words])
            progress.advance(task)
