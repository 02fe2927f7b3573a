"""Say in words how good each class of a model is, and how certain that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from shlex import quote

from ...errors import format_count
from .intervals import LEVEL

# From which F1 or IoU a class is found well, or fairly well.
GOOD = 0.8
FAIR = 0.5


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold of a class of a detector, and the one with its highest F1."""

    in_use: float
    best: float
    best_score: float  # the highest F1


@dataclass(frozen=True)
class ClassScore:
    """The score of a class that the validation images have."""

    score: float  # :attr:`.TaskEvaluation.metric` says which
    low: float  # the ends of its confidence interval
    high: float
    name: str
    basis: str  # the images and objects that it rests on
    num_images: int  # with the class in their ground truth
    size: int  # the number of its objects, pixels or images
    details: str = ''  # what its predictions are
    threshold: ThresholdChoice | None = None  # only of a detector

    @property
    def is_hidden(self) -> bool:
        """Whether only the threshold in use makes the class poor or fair."""
        if self.threshold is None:
            return False
        return grade(self.threshold.best_score) > grade(self.score)


def grade(score: float) -> int:
    """Return 2 for a good score, 1 for a fair one, and 0 for a poor one."""
    return int(score >= FAIR) + int(score >= GOOD)


def format_verdict(scores: Sequence[ClassScore], metric: str, reasons: Sequence[str]) -> str:
    """Return the lowest score of a class, and whether every class is good; if not, which are not,
    the largest first, what their predictions are and what may help.
    """
    lowest = min(scores, key=attrgetter('score', 'name'))
    text = f'lowest {metric}: {lowest.score:.2f} for {lowest.name} ({format_basis(lowest)})'
    if lowest.score >= GOOD:
        return f'{text}\n{format_good(scores, metric)}'
    word, bound = ('poor', FAIR) if lowest.score < FAIR else ('fair', GOOD)
    low_scores = [entry for entry in scores if entry.score < bound]
    count = f'{len(low_scores)} of {len(scores)} classes, the largest first'
    lines = [text, f'{word}: {metric} is under {bound} for {count}:']
    for entry in sorted(low_scores, key=attrgetter('size'), reverse=True):
        details = f': {entry.details}' if entry.details else ''
        lines.append(f'  {entry.name} {entry.score:.2f} ({format_basis(entry)}){details}')
    hidden = [
        format_hidden(entry, entry.threshold)
        for entry in scores
        if entry.threshold and entry.is_hidden
    ]
    if hidden:
        lines.append('hidden by the confidence threshold, not by the training:')
        lines += hidden
    # The data and the training are no reason for a class that another threshold finds.
    if not all(entry.is_hidden for entry in low_scores):
        lines.append('What may help, by the run and its data (these scores do not show it):')
        lines += [f'  {reason}' for reason in reasons]
    return '\n'.join(lines)


def format_basis(entry: ClassScore) -> str:
    """Return a score's interval and what it rests on."""
    return f'{LEVEL} % interval {entry.low:.2f} to {entry.high:.2f}; {entry.basis}'


def format_good(scores: Sequence[ClassScore], metric: str) -> str:
    """Return 'good' if the intervals of all classes are, and else which of them are not."""
    uncertain = [entry for entry in scores if entry.low < GOOD]
    if not uncertain:
        return (
            f'good: {metric} of every class with a score is at least {GOOD}, also the lower end of '
            f'its {LEVEL} % interval'
        )
    uncertain = sorted(uncertain, key=attrgetter('low', 'name'))
    counts = sorted(entry.num_images for entry in uncertain)
    images = format_count(counts[-1], 'image')
    if counts[0] < counts[-1]:
        images = f'{counts[0]} to {images}'
    names = ', '.join(f'{entry.name} (from {entry.low:.2f})' for entry in uncertain)
    return (
        f'good so far: {images} a class. {metric} of every class with a score is at least {GOOD}, '
        f'but the {LEVEL} % interval begins lower for {names}. More validation images would tell'
    )


def format_hidden(entry: ClassScore, threshold: ThresholdChoice) -> str:
    """Return the threshold that finds a class, as an option of ``predict``."""
    option = quote(f'{entry.name}={threshold.best:g}')
    return (
        f'  {entry.name}: F1 {entry.score:.2f} at {threshold.in_use:.2f}, and '
        f'{threshold.best_score:.2f} with --score-thr {option}'
    )
