"""Score a finished run on its validation images, choose a detector's thresholds, and say how good
each class is, and how certain that is.
"""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ...checkpoints.safe_loading import Checkpoint
from ...datasets.loading import build_dataset
from ...errors import format_count
from ...host.runners import silence_output
from ...predict.loading import load_model
from ...predict.model_files import ModelFiles
from ...predict.predictor import Predictor
from ...predict.thresholds import ScoreThresholds, write_thresholds
from ...runs.folder import RunFolder
from ..runs.made import get_started_with
from .evaluations import find_evaluation
from .mistakes import evaluate_images
from .verdict import format_verdict


def judge_run(run: RunFolder, cfg: Config) -> str:
    """Return the scores of a run's best checkpoint on its validation images, and whether every
    class is good.

    ``cfg`` is the config with which the run was trained. Write the thresholds that are chosen for a
    detector.
    """
    checkpoint = run.read_best_checkpoint()
    model, dataset = load_validation(run, cfg, checkpoint)
    evaluation = find_evaluation(cfg.default_scope)
    judgement = evaluation.judge(evaluate_images(model, dataset).scores, model)
    images = format_count(len(dataset), 'validation image')
    if judgement is None:
        return f'{images}: they have no objects or labels, so they give no score'
    if judgement.thresholds:
        write_thresholds(run, Path(checkpoint.source), judgement.thresholds)
    reasons = find_reasons(cfg, checkpoint)
    lines = [
        f'{images}: {judgement.summary}',
        format_verdict(judgement.class_scores, evaluation.metric, reasons),
        *format_selection(checkpoint, judgement.thresholds),
    ]
    return '\n'.join(lines)


def load_validation(
    run: RunFolder, cfg: Config, checkpoint: Checkpoint
) -> tuple[Predictor[Any], BaseDataset]:
    """Load the model of a run and its validation images."""
    scope = cfg.default_scope
    files = ModelFiles(run.config_file, str(run.path), cfg)
    score_thr = find_evaluation(scope).judged_score_thr
    with silence_output():
        model = load_model(files, checkpoint, device=None, score_thr=score_thr)
        # Masks of the hundreds of objects in images that need tiles would take gigabytes.
        dataset = build_dataset(cfg.val_dataloader.dataset, scope, masks=not model.tiles)
    return model, dataset


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
