"""Score a finished run on its validation images, choose a detector's thresholds, and say how good
each class is, and how certain that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from mmengine.config import Config

from ..checkpoints.safe_loading import Checkpoint
from ..errors import format_count
from ..inference.drawing import is_background
from ..inference.loading import load_model, silence_output
from ..inference.model_files import ModelFiles
from ..inference.outputs import format_limit
from ..inference.predictor import Predictor
from ..runs import RunFolder, get_started_with
from ..tasks import DETECTION, SEGMENTATION
from ..thresholds import ScoreThresholds
from .choosing import MIN_OBJECTS, choose_thresholds, compute_f1_scores
from .detection_curves import ClassMatches, Curve, DetectionCurves
from .intervals import LEVEL, ImageCounts
from .mistakes import Mistakes, evaluate_images, score_classes
from .samples import build_dataset

# From which F1 or IoU a class is found well, or fairly well.
GOOD = 0.8
FAIR = 0.5


@dataclass(frozen=True)
class ClassScore:
    """The score of a class that the validation images have."""

    score: float  # IoU of a segmentation, else F1
    low: float  # the ends of its confidence interval
    high: float
    name: str
    basis: str  # the images and objects that it rests on
    num_images: int  # with the class in their ground truth
    size: int  # the number of its objects, pixels or images
    details: str = ''  # what its predictions are
    # Of a class of a detector: the threshold in use, the one with its highest F1, and this F1
    threshold: float = 0.0
    best_threshold: float = 0.0
    best_score: float = 0.0

    @property
    def is_hidden(self) -> bool:
        """Whether only the threshold in use makes the class poor or fair."""
        return grade(self.best_score) > grade(self.score)


def grade(score: float) -> int:
    """Return 2 for a good score, 1 for a fair one, and 0 for a poor one."""
    return int(score >= FAIR) + int(score >= GOOD)


def judge_run(run: RunFolder, cfg: Config) -> str:
    """Return the scores of a run's best checkpoint on its validation images, and whether every
    class is good.

    ``cfg`` is the config with which the run was trained. Choose the thresholds of a detector.
    """
    files = ModelFiles(run.config_file, str(run.path), cfg)
    checkpoint = run.read_best_checkpoint()
    is_detector = cfg.default_scope == DETECTION.scope
    with silence_output():
        # A detector's curves do not depend on its threshold.
        score_thr = 1.0 if is_detector else None
        model = load_model(files, checkpoint, device=None, score_thr=score_thr)
        # Masks of the hundreds of objects in images that need tiles would take gigabytes.
        dataset = build_dataset(
            cfg.val_dataloader.dataset, cfg.default_scope, masks=not model.tiles
        )
    mistakes = evaluate_images(model, dataset)
    curves = mistakes.curves
    thresholds = choose_thresholds(curves, model.classes) if curves else None
    scores = list_class_scores(mistakes, model, thresholds)
    text = f'{format_count(len(dataset), "validation image")}: '
    if not scores:
        return f'{text}they have no objects or labels, so they give no score'
    if curves:
        if thresholds:
            run.write_thresholds(Path(model.checkpoint), thresholds)
        text += format_thresholds(curves, thresholds, model.classes)
        in_use = thresholds or ScoreThresholds(curves.overall.best_threshold)
        limited = mistakes.list_limited(min(in_use.list_by_class(model.classes).values()))
        if limited:
            text += f'\n{format_limit(limited, len(dataset), model)}'
    else:
        text += format_mean(scores, mistakes, model)
    metric = get_metric(model)
    verdict = format_verdict(scores, metric, find_reasons(cfg, checkpoint))
    return '\n'.join([text, verdict, *format_selection(checkpoint, thresholds)])


def get_metric(model: Predictor[Any]) -> str:
    """Return the name of the score of a class."""
    return 'IoU' if model.task == SEGMENTATION.name else 'F1'


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
    hidden = [entry for entry in scores if entry.is_hidden]
    if hidden:
        lines.append('hidden by the confidence threshold, not by the training:')
        lines += map(format_hidden, hidden)
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


def format_hidden(entry: ClassScore) -> str:
    """Return the threshold that finds a class, as an option of ``predict``."""
    option = quote(f'{entry.name}={entry.best_threshold:g}')
    return (
        f'  {entry.name}: F1 {entry.score:.2f} at {entry.threshold:.2f}, and '
        f'{entry.best_score:.2f} with --score-thr {option}'
    )


def format_selection(checkpoint: Checkpoint, thresholds: ScoreThresholds | None) -> list[str]:
    """Return a sentence if something was chosen on the images of the score."""
    chosen = []
    if Path(checkpoint.source).name.startswith('best_'):
        chosen.append('the best checkpoint')
    if thresholds:
        chosen.append('the thresholds')
    if not chosen:
        return []
    verb = 'were' if thresholds else 'was'
    names = ' and '.join(chosen)
    return [f'{names} {verb} chosen on the same images, so scores of other images may be lower']


def find_reasons(cfg: Config, checkpoint: Checkpoint) -> list[str]:
    """Return what may help against low scores."""
    reasons = [*get_started_with(cfg).get('weaknesses', ())]
    meta = checkpoint.content['meta']
    length = cfg.train_cfg
    is_last = any(meta.get(unit, -1) == length.get(f'max_{unit}s') for unit in ('epoch', 'iter'))
    if is_last and Path(checkpoint.source).name.startswith('best_'):
        reasons.insert(0, 'the last validation was the best; train longer (--resume --epochs N)')
    reasons.append("see also 'mmgcvit mistakes' and docs/troubleshooting.md, 'Scores near 0'")
    return reasons


def list_class_scores(
    mistakes: Mistakes, model: Predictor[Any], thresholds: ScoreThresholds | None
) -> list[ClassScore]:
    """Return the IoU or F1 of each class that the images have, except a segmentation's background.

    A detector's F1 is that at the threshold of the class; without ``thresholds``, at the one with
    the highest F1 of all classes.
    """
    scores = []
    curves = mistakes.curves
    if curves and thresholds is None:
        thresholds = ScoreThresholds(curves.overall.best_threshold)
    metric = get_metric(model)
    background = list_background(model)
    for index, (name, values) in enumerate(score_classes(mistakes, model).items()):
        if not values['ground_truths'] or index in background:
            continue
        num_images = int(mistakes.num_images[index])
        if curves and thresholds:
            scores.append(
                score_detected_class(
                    name=name,
                    curve=curves.by_class[index],
                    matches=curves.matches[index],
                    threshold=thresholds.list_by_class(model.classes)[name],
                    num_images=num_images,
                )
            )
            continue
        counts = mistakes.image_counts[index]
        low, high = counts.compute_interval(metric)
        scores.append(
            ClassScore(
                score=counts.compute_score(metric),
                low=low,
                high=high,
                name=name,
                basis=format_count(num_images, 'image'),
                num_images=num_images,
                size=int(values['ground_truths']),
                details=describe_confusion(mistakes, model, index),
            )
        )
    return scores


def score_detected_class(
    name: str, curve: Curve, matches: ClassMatches, threshold: float, num_images: int
) -> ClassScore:
    """Score a class of a detector, which has objects, at a threshold."""
    num_detections, num_correct = curve.count_at(threshold)
    low, high = matches.count_at(threshold).compute_interval('F1')
    objects = format_count(curve.num_objects, 'object')
    return ClassScore(
        score=2 * num_correct / (num_detections + curve.num_objects),
        low=low,
        high=high,
        name=name,
        basis=f'{objects} in {format_count(num_images, "image")}',
        num_images=num_images,
        size=curve.num_objects,
        details=f'{num_correct} found, {curve.num_objects - num_correct} missed, '
        f'{num_detections - num_correct} false',
        threshold=threshold,
        best_threshold=curve.rounded_threshold,
        best_score=curve.f1.max(initial=0).item(),
    )


def describe_confusion(mistakes: Mistakes, model: Predictor[Any], label: int) -> str:
    """Return as which other class most of a class is predicted wrongly, or ''."""
    row = mistakes.confusion_matrix.matched[label].copy()
    total = row.sum()
    row[label] = 0
    if not row.any():
        return ''
    share = row.max() / total
    return f'{share:.0%} of it are predicted as {model.classes[row.argmax()]}'


def list_background(model: Predictor[Any]) -> list[int]:
    """Return the indices of the classes that are a segmentation's background, if there are
    others.
    """
    if model.task != SEGMENTATION.name:
        return []
    found = [index for index, name in enumerate(model.classes) if is_background(index, name)]
    return found if len(found) < len(model.classes) else []


def format_mean(scores: Sequence[ClassScore], mistakes: Mistakes, model: Predictor[Any]) -> str:
    """Return the accuracy of a classifier, or the mean IoU of a segmentation as text."""
    if model.task == SEGMENTATION.name:
        text = f'mIoU {np.mean([entry.score for entry in scores]):.3f}'
        if list_background(model):
            text += " without the background, which the log's mIoU counts"
        return text
    # An image of a classifier counts once: in the class that it has, or is predicted as.
    matrix = mistakes.confusion_matrix
    num_right = matrix.right.sum()
    num_images = matrix.ground_truths.sum()
    by_image = ImageCounts(
        np.repeat([1, 0], [num_right, num_images - num_right]),
        np.repeat([0, 1], [num_right, num_images - num_right]),
    )
    low, high = by_image.compute_interval('IoU')  # right among all
    return f'accuracy {num_right / num_images:.3f} ({LEVEL} % interval {low:.2f} to {high:.2f})'


def format_thresholds(
    curves: DetectionCurves, thresholds: ScoreThresholds | None, classes: Sequence[str]
) -> str:
    """Return a detector's scores and the thresholds that its predictions use as text."""
    if thresholds is None:
        best_f1 = curves.overall.f1.max(initial=0)
        return f'no confidence threshold finds the objects (highest F1: {best_f1:.2f})'
    single = compute_f1_scores(curves, ScoreThresholds(thresholds.overall), classes)
    scores = compute_f1_scores(curves, thresholds, classes)
    text = (
        f'{curves.format_ap()}; confidence threshold of predictions: {thresholds.overall:.2f}, '
        f'with the highest F1 of all objects ({single.overall:.2f}; mean over classes '
        f'{single.mean:.2f})'
    )
    if thresholds.by_class:
        own = ', '.join(f'{name} {value:.2f}' for name, value in thresholds.by_class.items())
        text += (
            f'; of each class with at least {MIN_OBJECTS} objects the one with its highest F1 '
            f'({own}): F1 of all objects {scores.overall:.2f}, mean over classes {scores.mean:.2f}'
        )
    return (
        f'{text}: {scores.num_correct} of {scores.num_objects} objects found, '
        f'{scores.num_objects - scores.num_correct} missed, '
        f'{scores.num_detections - scores.num_correct} false'
    )
