"""Reject settings that nothing reads, and scores that no metric has, before a run starts."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.utils.dl_utils import set_multi_processing

from ..datasets.checks.sources import iter_unwrapped_datasets
from ..errors import UserError, suggest
from ..host.config import LOADERS, get_type_name, iter_transforms
from ..host.tasks import CLASSIFICATION
from .model_keys import check_model_keys

# What mmengine's Runner.setup_env and models/speed_up.py read.
ENV_KEYS = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit', 'linear_kernel')
# The argument of mmpretrain's cropping transforms that is the size of the crop
CROPS = {'RandomResizedCrop': 'scale', 'RandomCrop': 'crop_size', 'CenterCrop': 'crop_size'}
COCO_SCORES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
# The scores of mmseg's IoUMetric for each of its metrics.
IOU_SCORES = {
    'mIoU': ('aAcc', 'mIoU', 'mAcc'),
    'mDice': ('aAcc', 'mDice', 'mAcc'),
    'mFscore': ('aAcc', 'mFscore', 'mPrecision', 'mRecall'),
}


def check_settings(cfg: Config) -> None:
    """Raise a UserError for a key below ``env_cfg``, or below a ``test_cfg`` or ``train_cfg`` of
    the model, that nothing reads, for a ``save_best`` that no metric has, and for an ``image_size``
    that a pipeline does not have.
    """
    environment = cfg.get('env_cfg') or {}
    check_keys('env_cfg', environment, ENV_KEYS)
    known = [*inspect.signature(set_multi_processing).parameters]
    check_keys('env_cfg.mp_cfg', environment.get('mp_cfg') or {}, known)
    check_model_keys(cfg)
    check_save_best(cfg)
    check_image_size(cfg)


def check_image_size(cfg: Config) -> None:
    """Raise a UserError if a classifier's config has the variable ``image_size`` of the templates,
    and its data pipelines crop images to another size, as a pipeline pasted from ImageNet does.
    """
    size = cfg.get('image_size')
    if cfg.get('default_scope') != CLASSIFICATION.scope or not isinstance(size, int):
        return
    for loader in LOADERS:
        for dataset in iter_unwrapped_datasets((cfg.get(loader) or {}).get('dataset')):
            for step in iter_transforms(dataset):
                name = get_type_name(step)
                cropped = step.get(CROPS.get(name, ''), size)
                if cropped not in (size, (size, size), [size, size]):
                    raise UserError(
                        f'image_size = {size} has no effect in {loader}, whose {name} crops images '
                        f'to {cropped} px. Set {CROPS[name]}=image_size there, as '
                        'docs/templates.md shows, or remove image_size'
                    )


def check_keys(place: str, settings: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise a UserError if a dict of the config has another key than the known ones."""
    if not isinstance(settings, Mapping):
        raise UserError(f'{place}={settings!r:.80}: expected a dict of {", ".join(known)}')
    for key in settings:
        if key not in known:
            raise UserError(
                f'{place}.{key}: nothing reads it{suggest(key, known) or "."} There are '
                f'{", ".join(known)}'
            )


def check_save_best(cfg: Config) -> None:
    """Raise a UserError if the best checkpoint is chosen by a score that no metric has.

    mmengine would raise a KeyError after the first validation.
    """
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    chosen = hook.get('save_best') or ()
    chosen = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(chosen, list | tuple):
        raise UserError(
            f"save_best={chosen!r}: expected the name of a score, a list of names, or 'auto'"
        )
    scores = list_scores(cfg)
    if scores is None or not cfg.get('val_dataloader'):
        return
    for name in chosen:
        if name != 'auto' and name not in scores:
            raise UserError(
                f'save_best={name!r}: no metric of val_evaluator has this score'
                f'{suggest(name, scores) or "."} There are {", ".join(scores)}'
            )


def list_scores(cfg: Config) -> list[str] | None:
    """List the scores of a config's validation, or return None if it has a metric whose scores are
    unknown.
    """
    evaluator = cfg.get('val_evaluator') or []
    metrics = [evaluator] if isinstance(evaluator, Mapping) else evaluator
    scores: list[str] = []
    for metric in metrics:
        found = list_metric_scores(metric)
        if found is None:
            return None
        scores += found
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())]
    if any(get_type_name(hook) == 'ValLossHook' for hook in hooks if isinstance(hook, Mapping)):
        scores.append('val_loss')
    return scores


def list_metric_scores(metric: Any) -> list[str] | None:
    """List the scores of mmdet's CocoMetric, mmseg's IoUMetric or mmpretrain's Accuracy; of another
    metric, return None.
    """
    if not isinstance(metric, Mapping):
        return None
    name = get_type_name(metric)
    list_own = SCORES.get(name)
    scores = list_own(metric) if list_own else None
    if scores is None:
        return None
    prefix = metric.get('prefix') or DEFAULT_PREFIXES.get(name)
    return [f'{prefix}/{score}' for score in scores] if prefix else scores


def list_coco_scores(metric: Mapping[str, Any]) -> list[str] | None:
    """List the scores of a CocoMetric without their prefix, or return None for other ones."""
    kinds = metric.get('metric') or 'bbox'
    is_known = isinstance(kinds, str | list | tuple) and 'proposal' not in str(kinds)
    if not is_known or metric.get('classwise'):
        return None
    items = metric.get('metric_items') or COCO_SCORES
    return [f'{kind}_{item}' for kind in make_list(kinds) for item in items]


def list_iou_scores(metric: Mapping[str, Any]) -> list[str]:
    """List the scores of an IoUMetric without their prefix."""
    kinds = make_list(metric.get('iou_metrics') or ['mIoU'])
    return [*dict.fromkeys(score for kind in kinds for score in IOU_SCORES.get(kind, ()))]


def list_accuracy_scores(metric: Mapping[str, Any]) -> list[str] | None:
    """List the scores of an Accuracy without their prefix, or return None for other ones."""
    if metric.get('thrs'):
        return None
    topk = metric.get('topk', (1,))
    return [f'top{k}' for k in ([topk] if isinstance(topk, int) else topk)]


def make_list(kinds: str | Sequence[str]) -> Sequence[str]:
    """Return one kind of score, or several, as a sequence."""
    return [kinds] if isinstance(kinds, str) else kinds


# What lists the scores of a metric, by its type
SCORES: Mapping[str, Callable[[Mapping[str, Any]], list[str] | None]] = {
    'CocoMetric': list_coco_scores,
    'IoUMetric': list_iou_scores,
    'Accuracy': list_accuracy_scores,
}
DEFAULT_PREFIXES = {'CocoMetric': 'coco', 'Accuracy': 'accuracy'}
