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
    """Join the other processes of a launcher, before anything is checked, so that rank 0 can do so for all.

    Without a GPU over gloo, and with SyncBN, which has no CPU version, as BN: mmengine's ``init_dist`` calls
    ``torch.cuda.set_device``, and its Runner wraps the model for that GPU.
    """
    if cfg.launcher == 'none' or is_distributed():
        return
    settings = cfg.get('env_cfg', {}).get('dist_cfg', {})
    if torch.cuda.is_available():
        init_dist(cfg.launcher, **settings)
        return
    if cfg.launcher != 'pytorch' or 'RANK' not in os.environ:
        raise UserError(
            f'--launcher {cfg.launcher}: there is no GPU here, or no process group; start processes on the CPU with '
            'tools/dist_train.sh or tools/dist_test.sh'
        )
    timeout = settings.get('timeout')
    dist.init_process_group('gloo', **({} if timeout is None else {'timeout': timedelta(seconds=timeout)}))
    cfg.model_wrapper_cfg = ON_CPU
    replace_type(cfg.model, 'SyncBN', 'BN')


@contextmanager
def leaving_processes() -> Iterator[None]:
    """Leave the process group at the end of a run, also of one that was preempted.

    Over gloo the process ends here, its files written. Otherwise torch now and then aborts a finished process
    ("terminate called without an active exception": a thread of ``ProcessGroupGloo`` asks for Python's lock while
    Python ends), and the launcher calls the run failed; ``destroy_process_group`` does not help. To be removed once
    Python 3.14, which lets such threads wait, is the oldest supported.
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
