"""Score a finished run on its validation images, choose a detector's threshold, and say how good
the model is.
"""

from pathlib import Path

import numpy as np

from ..checkpoints.safe_loading import Checkpoint
from ..config import read_config
from ..errors import format_count
from ..files import compute_sha256
from ..inference.loading import load, silence_output
from ..inference.model_files import SCORE_THR_FILE, find_config, read_model_checkpoint
from ..inference.outputs import write_json
from ..tasks import DETECTION, SEGMENTATION
from .detection_curves import DetectionCurves
from .mistakes import evaluate_images
from .samples import build_dataset

MIN_F1 = 0.1  # if no confidence threshold has this F1, none is chosen
GOOD, FAIR = 0.8, 0.5  # from which F1, mIoU or accuracy on a model is good, or fair


def judge_run(work_dir: Path) -> str:
    """Return the score of a run's best checkpoint, and whether it is good.

    Choose the threshold of a detector.
    """
    cfg, checkpoint = read_config(find_config(work_dir)), read_model_checkpoint(work_dir)
    if cfg.default_scope == DETECTION.scope:
        metric = 'F1'
        with silence_output():
            model = load(work_dir, checkpoint, score_thr=1.0)  # on which the curves do not depend
            dataset = build_dataset(cfg.val_dataloader.dataset, model.scope, masks=False)
        curves = evaluate_images(model, dataset).curves
        text, score = choose_score_thr(curves, work_dir, Path(model.checkpoint))
        text = f'{format_count(len(dataset), "validation image")}: {text}'
    else:
        metric = 'mIoU' if cfg.default_scope == SEGMENTATION.scope else 'accuracy'
        text, score = read_best_score(checkpoint, metric)
    if score is None:
        return text
    started_with = cfg.get('started_with') or {}
    # The accuracy if the commonest class is always predicted.
    majority = started_with.get('majority') or 0
    good = max(GOOD, (1 + majority) / 2)
    if score >= good:
        return f'{text}\ngood: {metric} is at least {good:.3g}'
    if score < FAIR:
        word = f'poor: {metric} is under {FAIR}'
    elif score <= majority:
        word = f'poor: the commonest class alone gives {majority:.3f}'
    else:
        word = f'fair: {metric} is {max(FAIR, majority):.3g} to {good:.3g}'
    reasons = [*(started_with.get('weaknesses') or ())]
    meta, length = checkpoint.content['meta'], cfg.get('train_cfg') or {}
    is_last = any(meta.get(unit, -1) == length.get(f'max_{unit}s') for unit in ('epoch', 'iter'))
    if is_last and Path(checkpoint.source).name.startswith('best_'):
        reasons.append('the last validation was the best; train longer (--resume --epochs N)')
    reasons.append("see also 'mmgcvit mistakes' and docs/troubleshooting.md, 'Scores near 0'")
    return '\n  '.join([f'{text}\n{word}. Likely reasons:', *reasons])


def read_best_score(checkpoint: Checkpoint, metric: str) -> tuple[str, float | None]:
    """Read the best score of a segmentation or classification run from its checkpoint.

    Return a text and the score from 0 to 1, or None if there is none.
    """
    percent = checkpoint.content['message_hub']['runtime_info'].get('best_score')
    # Of --cfg-options default_hooks.checkpoint.save_best=val_loss.
    if Path(checkpoint.source).name.startswith('best_val_loss'):
        return f'validation images: val_loss {percent:.4g}', None
    if percent is None:
        return 'the validation images give no score', None
    return f'validation images: {metric} {percent / 100:.3f}', percent / 100


def choose_score_thr(
    curves: DetectionCurves, work_dir: Path, checkpoint: Path
) -> tuple[str, float | None]:
    """Choose the confidence threshold with the highest F1, and write it into the work dir.

    Predictions of this checkpoint use it from then on. Return the scores as text, and the highest
    F1, or None without objects.
    """
    curve = curves.overall
    if curve.best_f1 < MIN_F1:
        text = f'no confidence threshold finds the objects (highest F1: {curve.best_f1:.2f})'
        return text, curve.best_f1 if curve.num_objects else None
    threshold = round(curve.best_threshold, 4)
    chosen = {'checkpoint': checkpoint.name, 'sha256': compute_sha256(checkpoint)}
    write_json(work_dir / SCORE_THR_FILE, {**chosen, 'score_thr': threshold})
    best = curve.f1.argmax()
    found = curve.num_correct[best]
    text = (
        f'box mAP {np.nanmean(curves.ap):.3f}, AP50 {np.nanmean(curves.ap50):.3f}; confidence '
        f'threshold of predictions: {threshold:.2f}, with the highest F1 ({curve.best_f1:.2f}): '
        f'{found} of {curve.num_objects} objects found, {curve.num_objects - found} missed, '
        f'{curve.num_detections[best] - found} false'
    )
    return text, curve.best_f1
