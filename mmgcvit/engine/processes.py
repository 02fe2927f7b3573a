"""Initialise and destroy the process group of a distributed run."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed

from ..errors import UserError
from ..mmengine_utils import replace_type
from .hooks.preemption import PREEMPTED_EXIT_CODE

# mmengine's default wrapper sets device_ids, which DistributedDataParallel rejects for models on the CPU.
CPU_MODEL_WRAPPER = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}


def join_process_group(cfg: Config) -> None:
    """Initialise the process group of a launcher, so that rank 0 can then run checks for all ranks.

    Without a GPU, use gloo, because mmengine's ``init_dist`` needs GPUs. Replace SyncBN, which needs GPUs too, by BN.
    """
    if cfg.launcher == 'none' or is_distributed():
        return
    settings = cfg.get('env_cfg', {}).get('dist_cfg', {})
    if torch.cuda.is_available():
        init_dist(cfg.launcher, **settings)
        return
    if cfg.launcher != 'pytorch' or 'RANK' not in os.environ:
        raise UserError(
            f'--launcher {cfg.launcher}: torch finds no GPU. For one process, remove --launcher. For several processes '
            'on the CPU, use tools/dist_train.sh or tools/dist_test.sh'
        )
    timeout = settings.get('timeout')
    dist.init_process_group('gloo', **({} if timeout is None else {'timeout': timedelta(seconds=timeout)}))
    cfg.model_wrapper_cfg = CPU_MODEL_WRAPPER
    replace_type(cfg.model, 'SyncBN', 'BN')


@contextmanager
def leave_process_group_at_end() -> Iterator[None]:
    """Destroy the process group when a run ends or is preempted, but not after other errors.

    With gloo, exit the process here. Otherwise it sometimes aborts with "terminate called without an active exception",
    because a thread of ``ProcessGroupGloo`` asks for the GIL while Python exits, and the launcher reports a failed run.
    ``destroy_process_group`` does not help. Remove this workaround when the oldest supported Python is 3.14.
    """
    code = 0
    try:
        yield
    except SystemExit as end:
        if end.code != PREEMPTED_EXIT_CODE:
            raise
        code = end.code
    if dist.is_initialized() and dist.get_backend() == 'gloo':
        dist.barrier()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if dist.is_initialized():
        dist.destroy_process_group()
    if code:
        raise SystemExit(code)
