"""Join the ranks of a launcher, and end a rank with the exit code and the sentence that tell
why.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing

from ..errors import UserError, get_first_line
from ..host.config import iter_dicts
from ..host.runners import DEFAULT_TIMEOUT, get_timeout
from .interrupts import get_exit_code

# mmengine's default wrapper sets device_ids, which DistributedDataParallel rejects for models on
# the CPU.
CPU_MODEL_WRAPPER = {
    'type': 'MMDistributedDataParallel',
    'device_ids': None,
    'broadcast_buffers': False,
}
# The environment variables in which launchers pass the local rank: the number of a process on its
# node, from 0.
LOCAL_RANK_VARIABLES = {'slurm': 'SLURM_LOCALID', 'mpi': 'OMPI_COMM_WORLD_LOCAL_RANK'}
# In seconds. While the other ranks wait, one prints the error that all have. Then a launcher ends
# all processes: torchrun of torch 2.1 after 5 seconds.
ERROR_DELAY = 8


def join_process_group(cfg: Config) -> None:
    """Initialise the process group of a launcher, so that rank 0 can then run checks for all ranks.

    Without a GPU, use gloo, because mmengine's ``init_dist`` needs GPUs. Replace SyncBN, which
    needs GPUs too, by BN.
    """
    if cfg.launcher == 'none' or is_distributed():
        return
    environment = cfg.get('env_cfg', {})
    settings = environment.get('dist_cfg', {})
    timeout = get_timeout(cfg)
    if torch.cuda.is_available():
        # Else init_dist would set spawn, and mmengine's runner warn of the other method.
        set_multi_processing(**environment.get('mp_cfg', {}), distributed=True)
        init_dist(cfg.launcher, **{**settings, 'timeout': timeout.total_seconds()})
        return
    if cfg.launcher != 'pytorch' or 'RANK' not in os.environ:
        raise UserError(
            f'launcher={cfg.launcher}: torch finds no GPU. Use no launcher, or '
            'tools/dist_train.sh or dist_test.sh',
            arguments=['launcher'],
        )
    dist.init_process_group('gloo', timeout=timeout)
    cfg.model_wrapper_cfg = CPU_MODEL_WRAPPER
    for settings in iter_dicts(cfg.model):
        if settings.get('type') == 'SyncBN':
            settings['type'] = 'BN'


@contextmanager
def run_rank(launcher: str, local_rank: int) -> Iterator[None]:
    """Set LOCAL_RANK, which mmengine reads, and destroy the process group when a run ends or is
    interrupted, but not after an error. Print what an error may mean that another rank has caused.

    With gloo, exit the process here. Otherwise it sometimes aborts, because a thread of
    ``ProcessGroupGloo`` asks for the GIL while Python exits, also after ``destroy_process_group``.
    Remove this when the oldest Python is 3.14.
    """
    os.environ['LOCAL_RANK'] = os.environ.get(
        LOCAL_RANK_VARIABLES.get(launcher, 'LOCAL_RANK'), str(local_rank)
    )
    code = 0
    try:
        yield
        if dist.is_initialized() and dist.get_backend() == 'gloo':
            dist.barrier()
    except UserError:
        if os.environ['LOCAL_RANK'] != '0':
            time.sleep(ERROR_DELAY)
        raise
    except RuntimeError as error:
        # Gloo's errors have no type of their own.
        if dist.is_initialized():
            sys.stderr.write(
                f'rank {os.environ.get("RANK")} ends by an error ({get_first_line(error)}). If '
                'that is about a connection or a timeout, another rank has ended or hangs. If it '
                'has ended, its error is in the output, or it was killed (SIGKILL: the memory may '
                'be full). If it hangs, it has not answered for env_cfg.dist_cfg.timeout seconds '
                f'(default: {DEFAULT_TIMEOUT}). Then resume the run\n'
            )
        raise
    except KeyboardInterrupt as interrupt:
        if not dist.is_initialized():
            raise
        code = get_exit_code(interrupt)
    if not dist.is_initialized():
        return
    if code or dist.get_backend() == 'gloo':
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    dist.destroy_process_group()
