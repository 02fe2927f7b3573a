"""Several processes on a machine without GPUs.

mmengine starts its process group on a GPU only, and wraps the model for one. Both are settled here before the Runner
is built; to be removed once mmengine's ``init_dist`` works without a GPU.
"""

import logging
import os
import sys

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict


def prepare_cpu_processes(cfg: Config) -> None:
    """Where torch's launcher started this process and there is no GPU: join the processes over gloo.

    SyncBN, which has no CPU version, becomes BN.
    """
    if cfg.launcher != 'pytorch' or torch.cuda.is_available():
        return
    dist.init_process_group('gloo')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'broadcast_buffers': False,
    }
    replace_type(cfg.model, 'SyncBN', 'BN')


def leave_processes() -> None:
    """At the end of a run, take leave of the other processes.

    Over gloo the process ends here, its files written: torch now and then aborts a finished one ("terminate called
    without an active exception") while Python takes itself apart, and the launcher then calls the whole run failed. To
    be removed once torch's gloo threads end by themselves.
    """
    if not dist.is_initialized():
        return
    if dist.get_backend() == 'gloo':
        dist.barrier()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    dist.destroy_process_group()


def replace_type(cfg: ConfigDict | list | tuple, old: str, new: str) -> None:
    """Change ``type=old`` to ``type=new`` in every dict of a config, in place."""
    if isinstance(cfg, dict):
        if cfg.get('type') == old:
            cfg['type'] = new
        cfg = list(cfg.values())
    for value in cfg:
        if isinstance(value, (dict, list, tuple)):
            replace_type(value, old, new)
