"""Train detectors on pictures with rare classes, and compare confidence thresholds on unseen pictures.

    python -m tests.own.judging.trained_thresholds FOLDER EPOCHS SET SEED...

prints F1 of all objects and the mean over classes, by ``scorer.py``, for three choices: the single
threshold with the highest F1 of all objects on the validation pictures; the thresholds that ``train
--data`` has chosen, as ``predict`` uses them; and, for comparison, a threshold of each class with ten
objects where its F1 on the validation pictures is highest. It ends with an error if the chosen
thresholds have a lower score than the single one. The figures are in docs/custom_dataset.md. What is
in FOLDER already is used again.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from mmgcvit import load
from mmgcvit.predict.predictor import Predictor
from mmgcvit.predict.results import Detections

from ...tools.commands import call
from .scorer import ClassMatches, Counts, add_counts, find_best_threshold, match_class
from .unequal_sets import SETS, UNSEEN, Picture, write_split

NUM_PICTURES = {'train': 32, 'val': 20, UNSEEN: 60}
NUM_VALIDATIONS = 4
MIN_OBJECTS = 10  # of a class with a threshold of its own
ALL = 0.0  # a threshold that keeps all candidates
SINGLE, CHOSEN, EACH = 'single', 'chosen', 'each class'
# The run chooses its threshold halfway between two scores, and predicts in other batches.
F1_TOLERANCE = 0.005


@dataclass(frozen=True)
class Score:
    """F1 of all objects, and the mean over the classes."""

    overall: float
    mean: float

    def __str__(self) -> str:
        return f'{self.overall:.3f}, {self.mean:.3f}'


def make_score(counts: Sequence[Counts]) -> Score:
    """Return the scores of the counts of each class."""
    return Score(add_counts(counts).f1, float(np.mean([each.f1 for each in counts])))


def train(data: Path, run: Path, epochs: int, seed: int) -> None:
    """Train a detector."""
    command = ['-m', 'mmgcvit', 'train', '--data', data, '--task', 'detect', '--size', 'mini']
    command += ['--device', 'cpu', '--workers', 0, '--no-flip', '--epochs', epochs]
    command += ['--work-dir', run]
    command += ['--overwrite'] if run.exists() else []  # from a training that was interrupted
    # Validations take as long as the training; the last epoch is validated too.
    interval = ceil(epochs / NUM_VALIDATIONS)
    settings = [f'randomness.seed={seed}', f'train_cfg.val_interval={interval}']
    settings += [f'default_hooks.checkpoint.interval={interval}']
    call('', *command, '--cfg-options', *settings)


def match(model: Predictor[Detections], pictures: Sequence[Picture]) -> list[ClassMatches]:
    """Predict pictures, and return the matches of each class."""
    predictions = [model(picture.image) for picture in pictures]
    truths = [picture.objects for picture in pictures]
    return [match_class(predictions, truths, label) for label in range(len(model.classes))]


def compare(
    run: Path, val: Sequence[Picture], unseen: Sequence[Picture]
) -> dict[str, list[Counts]]:
    """Return the counts of each class in unseen pictures, for each choice of thresholds.

    Raise a ValueError if another single threshold than the run's has a higher F1 on the validation
    pictures, or if predictions keep other detections than those from the chosen thresholds on.
    """
    model = load(run, device='cpu')
    candidates = replace(model, score_thr=ALL, class_score_thr={})
    validated = match(candidates, val)
    single = model.score_thr
    best = find_best_threshold(validated)
    reached = add_counts(each.count(single) for each in validated).f1
    possible = add_counts(each.count(best) for each in validated).f1
    if reached < possible - F1_TOLERANCE:
        raise ValueError(
            f'{run}: F1 on the validation pictures is {reached:.4f} from {single} on, and '
            f'{possible:.4f} from {best} on'
        )
    each_best = [
        find_best_threshold([matches]) if matches.num_objects >= MIN_OBJECTS else single
        for matches in validated
    ]
    chosen = model.thresholds.list_by_class(model.classes)
    found = match(candidates, unseen)
    counts = {
        SINGLE: [matches.count(single) for matches in found],
        CHOSEN: [matches.count(each) for matches, each in zip(found, chosen, strict=True)],
        EACH: [matches.count(each) for matches, each in zip(found, each_best, strict=True)],
    }
    if counts[CHOSEN] != [matches.count(ALL) for matches in match(model, unseen)]:
        raise ValueError(f'{run}: predictions are not those from {model.thresholds} on')
    print(f'{run.name}: thresholds {model.thresholds}')  # noqa: T201
    for name, *rows in zip(model.classes, *counts.values(), strict=True):
        texts = [
            f'{choice} {each.right} right of {each.found}'
            for choice, each in zip(counts, rows, strict=True)
        ]
        print(f'  {name}, {rows[0].objects} objects: {"; ".join(texts)}')  # noqa: T201
    return counts


def list_losses(scores: Mapping[str, Score]) -> list[str]:
    """Return what the chosen thresholds lower."""
    losses = []
    if scores[CHOSEN].overall < scores[SINGLE].overall:
        losses.append('F1 of all objects')
    if scores[CHOSEN].mean < scores[SINGLE].mean:
        losses.append('the mean F1 over classes')
    return losses


def measure(folder: Path, epochs: int, name: str, seed: int) -> dict[str, Score]:
    """Draw pictures, train, and return the scores in unseen pictures for each choice."""
    unequal = SETS[name]
    pictures = {
        split: unequal.draw_pictures(split, number, seed) for split, number in NUM_PICTURES.items()
    }
    data = folder / f'{name}_{seed}'
    run = folder / f'{name}_{seed}_run'
    finished = folder / f'{name}_{seed}_finished'
    if not data.exists():
        for split in ('train', 'val'):
            write_split(data, split, pictures[split], [*unequal.numbers])
    if not finished.exists():
        train(data, run, epochs, seed)
        finished.touch()
    counts = compare(run, pictures['val'], pictures[UNSEEN])
    return {choice: make_score(rows) for choice, rows in counts.items()}


def main(folder: Path, epochs: int, name: str, seeds: Sequence[int]) -> None:
    losses = []
    for seed in seeds:
        scores = measure(folder, epochs, name, seed)
        texts = [f'{choice} {score}' for choice, score in scores.items()]
        print(f'{name}, seed {seed}: {"; ".join(texts)}', flush=True)  # noqa: T201
        losses += [f'{name}, seed {seed}: {loss} is lower' for loss in list_losses(scores)]
    if losses:
        sys.exit('\n'.join(losses))


if __name__ == '__main__':
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], [int(seed) for seed in sys.argv[4:]])
