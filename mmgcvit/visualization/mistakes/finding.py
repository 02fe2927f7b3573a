"""One pass over a data set: the confusion matrix, and the images with the lowest scores."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...engine.progress import Bars, Lines
from ...inference import Prediction, Predictor, UserError
from .confusion import Confusion, objects
from .judging import Verdict, judge
from .truths import Truths

COUNTED = {'segmentation': 'pixels', 'classification': 'images'}


class Judged(NamedTuple):
    """An image and what is said of it.

    Attributes:
        number: Of the image in the data set.
        verdict: What is said.
        prediction: What is predicted.
    """

    number: int
    verdict: Verdict
    prediction: Prediction

    @property
    def badness(self) -> tuple[float, int, int]:
        """Orders images, the worst last; of equal ones the first of the data set."""
        return -self.verdict.score, self.verdict.mistakes, -self.number


@dataclass
class Found:
    """What one pass has found.

    Attributes:
        confusion: The matrix.
        worst: The worst images, those first.
        images: So many images were judged.
        failed: What could not be, a sentence each.
    """

    confusion: Confusion
    worst: list[Judged] = field(default_factory=list)
    images: int = 0
    failed: list[str] = field(default_factory=list)


class Loaded(NamedTuple):
    """An image with what is true of it."""

    number: int
    path: str
    image: np.ndarray
    truth: Prediction


def find_mistakes(model: Predictor, truths: Truths, most_worst: int, batch_size: int, display: Bars | Lines) -> Found:
    """Predict for all images of a data set, and compare with what is true.

    Args:
        model: Predicts; a detector's ``score_thr`` says which objects count as found.
        truths: The data set.
        most_worst: So many of the worst images are kept.
        batch_size: So many images at a time.
        display: Shows progress, and names images that cannot be used.
    """
    classes = model.classes
    confusion = Confusion(classes, COUNTED[model.task]) if model.task in COUNTED else objects(classes)
    found = Found(confusion)
    # The best of the worst is the first: the one that goes when a worse one comes.
    heap: list[tuple[Any, Judged]] = []
    display.begin('images', len(truths))
    for begin in range(0, len(truths), batch_size):
        numbers = range(begin, min(begin + batch_size, len(truths)))
        for judged in judge_batch(model, truths, numbers, found, display):
            found.images += 1
            heapq.heappush(heap, (judged.badness, judged))
            if len(heap) > most_worst:
                heapq.heappop(heap)
        display.advance(numbers[-1] + 1)
    display.end()
    found.worst = [judged for _, judged in sorted(heap, key=lambda item: item[0], reverse=True)]
    return found


def judge_batch(
    model: Predictor, truths: Truths, numbers: range, found: Found, display: Bars | Lines
) -> Iterator[Judged]:
    """Judge some images; those that cannot be used are named in ``found.failed`` and on the screen."""

    def fail(path: str, error: UserError) -> None:
        # What concerns a file begins with its name already.
        sentence = str(error) if str(error).startswith(path) else f'{path}: {error}'
        found.failed.append(sentence)
        display.line(f'skipped: {sentence}')

    batch = []
    for number in numbers:
        info = truths.info(number)
        try:
            image = truths.image(info)
            batch.append(Loaded(number, info['img_path'], image, truths.truth(info, image)))
        except UserError as error:
            fail(info['img_path'], error)
    outcomes = model.outcomes([loaded.image for loaded in batch])
    for loaded, outcome in zip(batch, outcomes, strict=True):
        try:
            if isinstance(outcome, UserError):
                raise outcome
            yield Judged(loaded.number, judge(loaded.truth, outcome, found.confusion), outcome)
        except UserError as error:
            fail(loaded.path, error)
