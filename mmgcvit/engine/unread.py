"""Reject settings that nothing reads, and scores that no metric has, before a run starts."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils.dl_utils import set_multi_processing

from ..config import get_type_name, iter_dicts
from ..errors import UserError, suggest

# What mmengine's Runner.setup_env reads.
ENV_KEYS = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')
# What reads a model's train_cfg and test_cfg, besides the package of the default scope and the
# config's custom_imports. mmseg and mmrotate use heads of mmdet.
READERS = (
    'mmgcvit.models',
    'mmgcvit.mmdet_fixes',
    'mmgcvit.mmseg_fixes',
    'mmcv.ops',
    'mmdet.models',
)
# How code reads a setting of a config.
READING = re.compile(r"""(?:cfg|config)\w*(?:\.|\[['"])(\w+)|\.(?:get|pop)\(\s*['"](\w+)['"]""")
MISSPELT = 0.8  # difflib's similarity of two names: one letter of nine is 0.95
COCO_SCORES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
# The scores of mmseg's IoUMetric for each of its metrics.
IOU_SCORES = {
    'mIoU': ('aAcc', 'mIoU', 'mAcc'),
    'mDice': ('aAcc', 'mDice', 'mAcc'),
    'mFscore': ('aAcc', 'mFscore', 'mPrecision', 'mRecall'),
}


def check_settings(cfg: Config) -> None:
    """Raise a UserError for a key below ``env_cfg``, or below a ``test_cfg`` or ``train_cfg`` of
    the model, that nothing reads, and for a ``save_best`` that no metric has.
    """
    environment = cfg.get('env_cfg') or {}
    check_keys('env_cfg', environment, ENV_KEYS)
    known = [*inspect.signature(set_multi_processing).parameters]
    check_keys('env_cfg.mp_cfg', environment.get('mp_cfg') or {}, known)
    check_model_keys(cfg)
    check_save_best(cfg)


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


def check_model_keys(cfg: Config) -> None:
    """Raise a UserError if a key of the model's ``test_cfg`` or ``train_cfg`` is in no source file
    that may read it, but a similar one is.

    mmdet's own configs have a key that nothing reads any more (``debug``), so another one may stay.
    """
    names: dict[str, str] = {}  # the first path of each key
    for settings in iter_dicts([cfg.get('model')]):
        for section in ('test_cfg', 'train_cfg'):
            for path, key in iter_keys(settings.get(section), section):
                names.setdefault(key, path)
    imports = (cfg.get('custom_imports') or {}).get('imports') or ()
    imports = [imports] if isinstance(imports, str) else imports
    scope = str(cfg.get('default_scope') or '')
    sources = [*READERS, *([f'{scope}.models', *imports] if scope else imports)]
    files = list_files(tuple(sources))
    unread = {*names}
    for file in files:
        if not unread:
            return
        unread -= {*list_words(file)}
    for key in names:
        if key in unread:
            read = {name for file in files for name in list_read(file)}
            for similar in get_close_matches(key, read, n=1, cutoff=MISSPELT):
                raise UserError(f'model.{names[key]}: nothing reads it; did you mean {similar}?')


def iter_keys(settings: Any, path: str) -> Iterator[tuple[str, str]]:
    """Iterate over the (path, key) of settings, except those of a dict with a ``type``, which are
    checked when the type is built.
    """
    if isinstance(settings, list | tuple):
        for index, inner in enumerate(settings):
            yield from iter_keys(inner, f'{path}.{index}')
    if not isinstance(settings, Mapping) or 'type' in settings:
        return
    for key, inner in settings.items():
        yield f'{path}.{key}', key
        yield from iter_keys(inner, f'{path}.{key}')


@cache
def list_files(modules: tuple[str, ...]) -> tuple[Path, ...]:
    """List the source files of modules and packages that are installed."""
    files: list[Path] = []
    for module in modules:
        package, *names = module.split('.')
        spec = find_spec(package)  # of a submodule, it would import the package
        if spec is None:
            continue
        for folder in spec.submodule_search_locations or ():
            path = Path(folder, *names)
            files += sorted(path.rglob('*.py')) if path.is_dir() else [path.with_suffix('.py')]
        if not spec.submodule_search_locations:
            files.append(Path(spec.origin or ''))
    return tuple(file for file in files if file.suffix == '.py' and file.is_file())


@cache
def list_words(file: Path) -> frozenset[str]:
    """Return the words of a source file."""
    return frozenset(re.findall(r'\w+', file.read_text(errors='replace')))


def list_read(file: Path) -> Iterator[str]:
    """Iterate over the names of the settings that a source file reads."""
    for match in READING.finditer(file.read_text(errors='replace')):
        yield match[1] or match[2]


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
    kinds = metric.get('metric') or 'bbox'
    if not isinstance(kinds, str | list | tuple):
        return None
    if name == 'CocoMetric' and not metric.get('classwise') and 'proposal' not in str(kinds):
        kinds = [kinds] if isinstance(kinds, str) else kinds
        items = metric.get('metric_items') or COCO_SCORES
        scores = [f'{kind}_{item}' for kind in kinds for item in items]
        prefix = metric.get('prefix') or 'coco'
    elif name == 'IoUMetric':
        kinds = metric.get('iou_metrics') or ['mIoU']
        kinds = [kinds] if isinstance(kinds, str) else kinds
        scores = [*dict.fromkeys(score for kind in kinds for score in IOU_SCORES.get(kind, ()))]
        prefix = metric.get('prefix')
    elif name == 'Accuracy' and not metric.get('thrs'):
        topk = metric.get('topk', (1,))
        scores = [f'top{k}' for k in ([topk] if isinstance(topk, int) else topk)]
        prefix = metric.get('prefix') or 'accuracy'
    else:
        return None
    return [f'{prefix}/{score}' for score in scores] if prefix else scores
