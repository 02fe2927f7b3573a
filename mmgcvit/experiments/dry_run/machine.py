"""What one process without a GPU and without a network cannot do is taken out, and said."""

from typing import Any

import torch
from mmengine.config import Config

from ...datasets.checks import type_name
from .configs import as_list, rewritten

ONLY_MIXED = ('dtype', 'loss_scale', 'use_fsdp')
LOCAL_BACKENDS = ('LocalVisBackend', 'DetLocalVisBackend', 'SegLocalVisBackend')


def leave_weights_out(cfg: Config) -> list[str]:
    """Start from random weights: what the config loads may have to be downloaded."""
    found = []

    def leave_out(settings: dict[str, Any]) -> dict[str, Any]:
        if settings.get('pretrained'):
            found.append(str(settings['pretrained']))
            settings = {**settings, 'pretrained': type(settings['pretrained'])() or None}
        inits = as_list(settings.get('init_cfg'))
        kept = [init for init in inits if type_name(init) != 'Pretrained']
        if len(kept) < len(inits):
            found.extend(str(init.get('checkpoint')) for init in inits if init not in kept)
            settings = {**settings, 'init_cfg': kept or None}
        return settings

    cfg.model = rewritten(cfg.model, leave_out)
    if cfg.get('load_from'):
        found.append(cfg.load_from)
    cfg.load_from, cfg.resume = None, False
    return [f'not loaded: {source} (--keep-weights loads it)' for source in found]


def fit_machine(cfg: Config) -> list[str]:
    """One process, plain Runner, float32 without a GPU, no services."""
    return [*use_plain_runner(cfg), *use_float32(cfg), *use_local_backends(cfg)]


def use_plain_runner(cfg: Config) -> list[str]:
    """Strategies for many GPUs (FSDP, DeepSpeed, ...) have nothing to share out in one process."""
    notes = []
    if cfg.pop('runner_type', None) is not None:
        strategy = type_name(cfg.pop('strategy', None)) or 'no strategy'
        notes.append(f'NOT rehearsed: FlexibleRunner with {strategy}; the plain Runner takes its place')
    if cfg.pop('compile', None):
        notes.append('NOT rehearsed: torch.compile')
    return notes


def use_float32(cfg: Config) -> list[str]:
    """Optimizer wrappers that need a GPU or a strategy become the plain one where that is missing."""
    wrapper = cfg.optim_wrapper
    kind = type_name(wrapper)
    needs_gpu = kind in ('AmpOptimWrapper', 'ApexOptimWrapper') and not torch.cuda.is_available()
    if not needs_gpu and kind != 'DeepSpeedOptimWrapper':
        wrapper.pop('use_fsdp', None)
        return []
    plain = {key: value for key, value in wrapper.items() if key not in ONLY_MIXED}
    cfg.optim_wrapper = {**plain, 'type': 'OptimWrapper'}
    return [f'NOT rehearsed: {kind}, which needs a GPU or its strategy; float32 takes its place']


def use_local_backends(cfg: Config) -> list[str]:
    """Experiment trackers (WandB, MLflow, ...) are not called."""
    dropped = []
    for holder in filter(None, (cfg.get('visualizer'), cfg)):
        backends = as_list(holder.get('vis_backends'))
        local = [backend for backend in backends if type_name(backend) in LOCAL_BACKENDS]
        dropped += [type_name(backend) for backend in backends if backend not in local]
        if len(local) < len(backends):
            holder.vis_backends = local or [{'type': 'LocalVisBackend'}]
    return [f'NOT rehearsed: {name}' for name in dict.fromkeys(dropped)]
