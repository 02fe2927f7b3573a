"""Fewer pixels, fewer boxes, fewer blocks."""

import inspect
from typing import Any

from mmengine.config import Config

from ...datasets.checks import type_name
from ...hosts.registry import MODELS
from ...models.layers import resolve_variant
from .configs import LOADERS, rewritten

SMALLEST = 64
# Arguments of the hosts' transforms, preprocessors and test settings that hold pixels, if they are whole numbers.
IN_PIXELS = ('scale', 'scales', 'crop_size', 'size', 'img_scale', 'img_scales', 'max_size', 'stride')
# What detectors choose from and keep, per image: the arguments that say how many, and how many are enough here.
AT_MOST = {'nms_pre': 200, 'max_per_img': 50}
SAMPLED_AT_MOST = 32
# Transformers choose their queries among the tokens, of which an image of 64 px has 85.
QUERIES_AT_MOST = 50


def shrink_images(cfg: Config, divisor: int) -> list[str]:
    """Divide all image sizes, but never below 64 px; those below are left as they are."""
    if divisor == 1:
        return []

    def shrink(settings: dict[str, Any]) -> dict[str, Any]:
        return {key: shrunk(value, divisor) if key in IN_PIXELS else value for key, value in settings.items()}

    for name in LOADERS:
        if cfg.get(name):
            cfg[name].dataset = rewritten(cfg[name].dataset, shrink)
    for part in ('data_preprocessor', 'tta_pipeline'):
        if cfg.get(part):
            cfg[part] = rewritten(cfg[part], shrink)
    for part in ('data_preprocessor', 'test_cfg'):
        if cfg.model.get(part):
            cfg.model[part] = rewritten(cfg.model[part], shrink)
    return [f'image sizes divided by {divisor}, none below {SMALLEST} px']


def shrunk(value: Any, divisor: int) -> Any:
    """A side in pixels, or all of a nested list; ratios, which are no whole numbers, stay."""
    if isinstance(value, (list, tuple)):
        return type(value)(shrunk(inner, divisor) for inner in value)
    if isinstance(value, int) and not isinstance(value, bool) and value > SMALLEST:
        return max(value // divisor, SMALLEST)
    return value


def limit_boxes(cfg: Config) -> list[str]:
    """Have detectors work on few boxes, and keep those that they are unsure of: untrained ones are sure of none."""
    found = []

    def limit(settings: dict[str, Any]) -> dict[str, Any]:
        limited = {key: min(value, AT_MOST[key]) if key in AT_MOST else value for key, value in settings.items()}
        if 'Sampler' in type_name(settings) and isinstance(settings.get('num'), int):
            limited['num'] = min(settings['num'], SAMPLED_AT_MOST)
        if isinstance(settings.get('score_thr'), float):
            limited['score_thr'] = 0.0
        found.extend(key for key in limited if limited[key] != settings[key])
        return limited

    for part in ('train_cfg', 'test_cfg'):
        if cfg.model.get(part):
            cfg.model[part] = rewritten(cfg.model[part], limit)
    if cfg.model.get('num_queries', 0) > QUERIES_AT_MOST:
        found.append('num_queries')
        cfg.model.num_queries = QUERIES_AT_MOST
    return ['fewer boxes per image, none left out for its score'] if found else []


def limit_depth(cfg: Config, depth: int) -> list[str]:
    """Keep at most so many blocks in each stage of the backbone.

    Raises:
        SystemExit: How deep this backbone is cannot be said by its config.
    """
    backbone = cfg.model.backbone
    network = network_of(cfg)
    arch = backbone.get('arch')
    if hasattr(network, 'archs'):  # the depth follows from the name of an arch
        arch = vars(resolve_variant(arch or network.default_arch, network.archs))
    elif isinstance(arch, str):  # likewise in mmpretrain's table
        arch = getattr(network, 'arch_settings', {}).get(arch)
    holder = arch if isinstance(arch, dict) else backbone
    depths = holder.get('depths', default_of(network, 'depths'))
    if depths is None:
        raise SystemExit(
            f'--depth {depth}: how to limit {type_name(backbone)} is not known here; leave the option out, or name its '
            'settings with --cfg-options'
        )
    depths = tuple(depths)
    limited = tuple(min(blocks, depth) for blocks in depths)
    if holder is backbone:
        backbone.depths = limited
    else:
        backbone.arch = {**holder, 'depths': limited}
    return [f'backbone of {limited} blocks instead of {depths}']


def network_of(cfg: Config) -> type | None:
    """The class of a config's backbone, a host's included; None where no registry has it."""
    kind, scope = cfg.model.backbone.type, cfg.get('default_scope')
    if not isinstance(kind, str):
        return kind
    return MODELS.get(f'{scope}.{kind}' if scope and '.' not in kind else kind)


def default_of(network: type | None, argument: str) -> Any:
    """What a class takes where an argument is left out; None where it has no such argument, or no default."""
    known = inspect.signature(network).parameters if network else {}
    default = known[argument].default if argument in known else None
    return None if default is inspect.Parameter.empty else default
