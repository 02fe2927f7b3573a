"""Say how good the model of a run of ``mmgcvit train --data`` is, and why it may not be good."""

from pathlib import Path

from ..config import read_config
from ..inference.model_files import find_config, read_model_checkpoint
from ..tasks import DETECTION, SEGMENTATION
from .mistakes import choose_score_thr

# From which F1, mIoU or accuracy on a model is good, or fair.
GOOD, FAIR = 0.8, 0.5


def judge_run(work_dir: Path) -> str:
    """Return the score of a run's best checkpoint, whether it is good, and else likely reasons, as text.

    Also choose the confidence threshold of a detector (:func:`.choose_score_thr`).
    """
    cfg, checkpoint = read_config(find_config(work_dir)), read_model_checkpoint(work_dir)
    if cfg.default_scope == DETECTION.scope:
        name, (text, score) = 'F1', choose_score_thr(work_dir, checkpoint)
    else:
        name = 'mIoU' if cfg.default_scope == SEGMENTATION.scope else 'accuracy'
        percent = checkpoint.content['message_hub']['runtime_info'].get('best_score')
        score = None if percent is None else percent / 100
        text = 'the validation images give no score' if score is None else f'validation images: {name} {score:.3f}'
    if score is None:
        return text
    if score >= GOOD:
        return f'{text}\ngood: {name} is at least {GOOD}'
    reasons = [*((cfg.get('started_with') or {}).get('weaknesses') or ())]
    meta, length = checkpoint.content['meta'], cfg.get('train_cfg') or {}
    is_last = any(meta.get(unit, -1) == length.get(f'max_{unit}s') for unit in ('epoch', 'iter'))
    if is_last and Path(checkpoint.source).name.startswith('best_'):
        reasons.append('the last validation was the best; train longer (--resume --epochs N)')
    word = f'fair: {name} is {FAIR} to {GOOD}' if score >= FAIR else f'poor: {name} is under {FAIR}'
    reasons.append("see also 'mmgcvit mistakes' and docs/troubleshooting.md, 'Scores near 0'")
    return '\n  '.join([f'{text}\n{word}. Likely reasons:', *reasons])
