"""How well a prediction for an image is, in a number and in words; and what it adds to the confusion matrix."""

from collections import Counter
from collections.abc import Iterable
from functools import singledispatch
from typing import NamedTuple

import numpy as np

from ...inference import Classification, Detections, Prediction, Segmentation, UserError
from .confusion import Confusion
from .matching import match
from .truths import TrueDetections

# So many kinds of mistakes are named of an image.
NAMED = 3


class Verdict(NamedTuple):
    """What is said of a prediction.

    Attributes:
        score: From 0 to 1, the higher the better; see :data:`SCORES`.
        mistakes: How many, in the matrix's counts: of images of one score, those with more are worse.
        why: What is wrong, in words.
    """

    score: float
    mistakes: int
    why: str


# What scores are called, by the task of a model.
SCORES = {
    'detection': 'F1 of the objects',
    'segmentation': 'mean IoU of its classes',
    'classification': 'score of the true class',
}


@singledispatch
def judge(truth: Prediction, found: Prediction, confusion: Confusion) -> Verdict:
    """Compare a prediction with the truth.

    * Of objects the F1 score, 2 TP / (2 TP + FP + FN), at an IoU of 0.5: of those that are found with the score that
      the model has as its threshold. 1 where nothing is there and nothing is found.
    * Of pixels the mean IoU of the classes that are there or found; 1 where no pixel is labelled.
    * Of a class of an image the score of the true one.

    Args:
        truth: What is true.
        found: What is predicted.
        confusion: Gets what is counted: of objects a row and a column more than classes.

    Raises:
        UserError: The two do not fit each other.
    """
    raise TypeError(f'{type(truth).__name__} is no prediction')


@judge.register
def judge_objects(truth: TrueDetections, found: Detections, confusion: Confusion) -> Verdict:
    none = len(confusion.names) - 1
    pairs, missed, false = match(found, truth)
    rows = np.concatenate([truth.labels[pairs[:, 0]], truth.labels[missed], np.full(len(false), none)])
    columns = np.concatenate([found.labels[pairs[:, 1]], np.full(len(missed), none), found.labels[false]])
    confusion.add(rows, columns)
    wrong = rows != columns
    right = int((~wrong).sum())
    total = len(truth) + len(pairs) + len(false)
    kinds = Counter(zip(rows[wrong].tolist(), columns[wrong].tolist(), strict=True))
    names = confusion.names
    words = [f'{right} of {len(truth)} found']
    for (row, column), count in largest(kinds.items()):
        if column == none:
            words.append(f'missed {count} × {names[row]}')
        elif row == none:
            words.append(f'{count} × {names[column]} where none is')
        else:
            words.append(f'{count} × {names[row]} taken for {names[column]}')
    return Verdict(2 * right / total if total else 1.0, int(wrong.sum()), '; '.join(words))


@judge.register
def judge_pixels(truth: Segmentation, found: Segmentation, confusion: Confusion) -> Verdict:
    if truth.label_map.shape != found.label_map.shape:
        raise UserError(f'it is predicted with shape {found.label_map.shape}, labelled with {truth.label_map.shape}')
    labelled = truth.label_map < len(confusion.names)
    ours = Confusion(confusion.names, confusion.counted)
    ours.add(truth.label_map[labelled], found.label_map[labelled])
    confusion.counts += ours.counts
    total = int(ours.counts.sum())
    if not total:
        return Verdict(1.0, 0, 'no pixel of it is labelled')
    both = np.diag(ours.counts)
    union = ours.counts.sum(0) + ours.counts.sum(1) - both
    score = float((both[union > 0] / union[union > 0]).mean())
    names = confusion.names
    words = [f'{ours.right:.0%} of the pixels right']
    for pair in ours.most_confused(NAMED):
        words.append(f'{pair.count / total:.1%} {names[pair.truth]} taken for {names[pair.predicted]}')
    return Verdict(score, total - int(both.sum()), '; '.join(words))


@judge.register
def judge_class(truth: Classification, found: Classification, confusion: Confusion) -> Verdict:
    confusion.add(np.array([truth.label]), np.array([found.label]))
    score = float(found.scores[truth.label])
    if truth.label == found.label:
        return Verdict(score, 0, f'{truth.class_name} seen as such, with {score:.2f}')
    return Verdict(score, 1, f'{truth.class_name} taken for {found.class_name}, {score:.2f} against {found.score:.2f}')


def largest(counted: Iterable[tuple[tuple[int, int], int]]) -> list[tuple[tuple[int, int], int]]:
    """The most frequent kinds of mistakes, those first."""
    return sorted(counted, key=lambda item: (-item[1], item[0]))[:NAMED]
