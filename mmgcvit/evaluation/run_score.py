"""Score a finished run on its validation images, choose a detector's threshold, and say how good
each class is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ..checkpoints.safe_loading import Checkpoint
from ..errors import format_count, shorten
from ..inference.drawing import is_background
from ..inference.loading import load_model, silence_output
from ..inference.model_files import ModelFiles
from ..inference.outputs import format_limit
from ..inference.predictor import Predictor
from ..runs import RunFolder, get_started_with
from ..tasks import DETECTION, SEGMENTATION
from .detection_curves import DetectionCurves
from .mistakes import Mistakes, evaluate_images, score_classes
from .samples import build_dataset

MIN_F1 = 0.1  # if no confidence threshold has this F1, none is chosen
# From which F1 or IoU a class is found well, or fairly well.
GOOD = 0.8
FAIR = 0.5


@dataclass(frozen=True)
class ClassScore:
    """The score of a class that the validation images have."""

    score: float  # IoU of a segmentation, else F1
    name: str
    basis: str  # the images and objects that it rests on


def judge_run(run: RunFolder, cfg: Config) -> str:
    """Return the scores of a run's best checkpoint on its validation images, and whether every
    class is good.

    ``cfg`` is the config with which the run was trained. Choose the threshold of a detector.
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
    scores = list_class_scores(mistakes, model)
    text = f'{format_count(len(dataset), "validation image")}: '
    if not scores:
        return f'{text}they have no objects or labels, so they give no score'
    if mistakes.curves:
        text += choose_score_thr(mistakes.curves, run, Path(model.checkpoint))
        limited = mistakes.list_limited(mistakes.curves.overall.best_threshold)
        if limited:
            text += f'\n{format_limit(limited, len(dataset), model)}'
    else:
        text += format_mean(scores, mistakes, model)
    metric = 'IoU' if model.task == SEGMENTATION.name else 'F1'
    return f'{text}\n{format_verdict(scores, metric, find_reasons(cfg, checkpoint))}'


def format_verdict(scores: Sequence[ClassScore], metric: str, reasons: Sequence[str]) -> str:
    """Return the lowest score of a class, and whether every class is good; if not, with reasons."""
    ascending = sorted(scores, key=attrgetter('score', 'name'))
    lowest = ascending[0]
    text = f'lowest {metric}: {lowest.score:.2f} for {lowest.name} ({lowest.basis})'
    if lowest.score >= GOOD:
        return f'{text}\ngood: {metric} of every class with a score is at least {GOOD}'
    word, bound = ('poor', FAIR) if lowest.score < FAIR else ('fair', GOOD)
    names = [entry.name for entry in ascending if entry.score < bound]
    text += f'\n{word}: {metric} is under {bound} for {shorten(names)}. Likely reasons:'
    return '\n  '.join([text, *reasons])


def find_reasons(cfg: Config, checkpoint: Checkpoint) -> list[str]:
    """Return likely reasons for low scores."""
    reasons = [*get_started_with(cfg).get('weaknesses', ())]
    meta = checkpoint.content['meta']
    length = cfg.train_cfg
    is_last = any(meta.get(unit, -1) == length.get(f'max_{unit}s') for unit in ('epoch', 'iter'))
    if is_last and Path(checkpoint.source).name.startswith('best_'):
        reasons.insert(0, 'the last validation was the best; train longer (--resume --epochs N)')
    reasons.append("see also 'mmgcvit mistakes' and docs/troubleshooting.md, 'Scores near 0'")
    return reasons


def list_class_scores(mistakes: Mistakes, model: Predictor[Any]) -> list[ClassScore]:
    """Return the IoU or F1 of each class that the images have, except a segmentation's background.

    A detector's F1 is that at the confidence threshold with the highest F1 of all classes.
    """
    scores = []
    curves = mistakes.curves
    background = list_background(model)
    for index, (name, values) in enumerate(score_classes(mistakes, model).items()):
        if not values['ground_truths'] or index in background:
            continue
        # Neither is None, since the class has ground truths.
        score = values.get('IoU', values['f1']) or 0.0
        basis = format_count(mistakes.num_images[index], 'image')
        if curves:
            curve = curves.by_class[index]
            num_detections, num_correct = curve.count_at(curves.overall.best_threshold)
            score = 2 * num_correct / (num_detections + curve.num_objects)
            basis = f'{format_count(curve.num_objects, "object")} in {basis}'
        scores.append(ClassScore(score=score, name=name, basis=basis))
    return scores


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
    matrix = mistakes.confusion_matrix
    return f'accuracy {matrix.right.sum() / matrix.ground_truths.sum():.3f}'


def choose_score_thr(curves: DetectionCurves, run: RunFolder, checkpoint: Path) -> str:
    """Choose the confidence threshold with the highest F1, and write it into the run's folder.

    Predictions of this checkpoint use it from then on. Return the scores as text.
    """
    curve = curves.overall
    best_f1 = curve.f1.max(initial=0)
    if best_f1 < MIN_F1:
        return f'no confidence threshold finds the objects (highest F1: {best_f1:.2f})'
    threshold = round(curve.best_threshold, 4)
    run.write_score_thr(checkpoint, threshold)
    num_detections, num_correct = curve.count_at(threshold)
    return (
        f'{curves.format_ap()}; confidence threshold of predictions: {threshold:.2f}, with the '
        f'highest F1 ({best_f1:.2f}): {num_correct} of {curve.num_objects} objects found, '
        f'{curve.num_objects - num_correct} missed, {num_detections - num_correct} false'
    )
