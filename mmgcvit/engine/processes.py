"""Join the process group of a run, and leave it."""

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
from .hooks.preemption import EXIT_CODE

ON_CPU = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}


def join_processes(cfg: Config) -> None:
    """Join the process group of a launcher; first of all, so that rank 0 can check for all ranks.

    Without a GPU it uses gloo, and BN instead of SyncBN, which has no CPU version. mmengine's ``init_dist`` needs GPUs.
    """
    if cfg.launcher == 'none' or is_distributed():
        return
    settings = cfg.get('env_cfg', {}).get('dist_cfg', {})
    if torch.cuda.is_available():
        init_dist(cfg.launcher, **settings)
        return
    if cfg.launcher != 'pytorch' or 'RANK' not in os.environ:
        raise UserError(
            f'--launcher {cfg.launcher} needs GPUs; start several processes on the CPU with tools/dist_train.sh or '
            'tools/dist_test.sh'
        )
    timeout = settings.get('timeout')
    dist.init_process_group('gloo', **({} if timeout is None else {'timeout': timedelta(seconds=timeout)}))
    cfg.model_wrapper_cfg = ON_CPU
    replace_type(cfg.model, 'SyncBN', 'BN')


@contextmanager
def leave_processes() -> Iterator[None]:
    """Leave the process group at the end of a run, also of a preempted one.

    With gloo, end the process here. Otherwise torch sometimes aborts it ("terminate called without an active
    exception": a thread of ``ProcessGroupGloo`` asks for the GIL while Python exits) and the launcher reports a failed
    run; ``destroy_process_group`` does not help. Remove this once Python 3.14 is the oldest supported.
    """
    code = 0
    try:
        yield
    except SystemExit as end:
        if end.code != EXIT_CODE:
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
