"""The processes of a run: who each is, by which address and port they find each other, and how they end."""

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from mmengine.config import Config

from ..errors import UserError
from ..hosts.machine import say_that_the_cpu_is_used
from ..hosts.mmengine import is_sharded, join_without_gpus
from .early_end import RESUME_ME

# The address by which a machine reaches itself, and nobody else does.
LOOPBACK = '127.0.0.1'


def free_port() -> int:
    """A port that no program has."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


def check_port(name: str, port: int) -> None:
    """Refuse a port that another program has, or that there is not; ``name`` is the variable by which users set it."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(('', port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, 'strerror', None) or 'there are ports 1 to 65535'
        raise UserError(f'{name}={port} cannot be used ({reason}); set {name} to a free one') from None


# From Linux' <sys/prctl.h>.
PR_SET_PDEATHSIG = 1


def end_with_parent(how: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends; elsewhere than on Linux nothing happens.

    It holds across ``exec``, not for children. By the kernel, because a thread that watches the parent would wait for
    Python's lock, and a process may hang within a collective. SIGTERM is for a program that ends others when it is
    asked to, SIGKILL for one that may hang.
    """
    if sys.platform != 'linux':
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f'prctl(PR_SET_PDEATHSIG): {os.strerror(number)}')


# Where each launcher says who a process is.
RANK_VARIABLES = {
    'pytorch': {'RANK': 'RANK', 'WORLD_SIZE': 'WORLD_SIZE', 'LOCAL_RANK': 'LOCAL_RANK'},
    'slurm': {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'},
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
    },
}
STARTED_BY = {'pytorch': 'tools/dist_*.sh', 'slurm': 'tools/slurm_*.sh or srun', 'mpi': "Open MPI's mpirun"}


def prepare_processes(cfg: Config) -> None:
    """Where a launcher started this process: settle who it is, and without a GPU join the others over gloo."""
    if cfg.launcher == 'none':
        return
    settings = cfg.get('env_cfg', {}).get('dist_cfg', {})
    settle_rank(cfg.launcher)
    settle_meeting_place(cfg.launcher, settings.get('port'))
    if cfg.launcher == 'pytorch':
        # slurm and mpirun see to it themselves. SIGKILL, because a process may hang in a collective.
        end_with_parent(signal.SIGKILL)
    elif os.environ['RANK'] == '0':
        port = os.environ['MASTER_PORT']
        # tools/slurm_*.sh take it as PORT.
        check_port('PORT' if os.environ.get('PORT') == port else 'MASTER_PORT', int(port))
    if not torch.cuda.is_available():
        if os.environ['RANK'] == '0':
            say_that_the_cpu_is_used(int(os.environ['WORLD_SIZE']))
        join_without_gpus(cfg, settings.get('timeout'))


def settle_rank(launcher: str) -> None:
    """Have RANK, WORLD_SIZE and LOCAL_RANK in the environment."""
    for name, source in RANK_VARIABLES[launcher].items():
        if source not in os.environ:
            raise UserError(
                f'--launcher {launcher}: {source} is not in the environment; processes are started by '
                f'{STARTED_BY[launcher]}'
            )
        os.environ[name] = os.environ[source]


def settle_meeting_place(launcher: str, port: int | None) -> None:
    """Have MASTER_ADDR and MASTER_PORT in the environment, where torch's launcher has not put them.

    The port follows from slurm's job, so that two jobs that share a node do not meet.
    """
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    if launcher == 'slurm':
        job = int(os.environ.get('SLURM_JOB_ID', 0)) + int(os.environ.get('SLURM_STEP_ID', 0))
        os.environ.setdefault('MASTER_PORT', str(20000 + job % 10000))
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' in os.environ:
        return
    address = LOOPBACK
    if launcher == 'slurm' and os.environ.get('SLURM_NNODES') != '1':
        command = ['scontrol', 'show', 'hostnames', os.environ.get('SLURM_NODELIST', '')]
        nodes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        address = nodes.split()[0]
    if launcher == 'mpi' and os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE') != os.environ['WORLD_SIZE']:
        raise UserError('--launcher mpi on several nodes needs MASTER_ADDR, the address of the node of process 0')
    os.environ['MASTER_ADDR'] = address


def check_sharding(cfg: Config) -> None:
    """Refuse a config that shares its model out among processes where there is one process."""
    if is_sharded(cfg) and cfg.launcher == 'none':
        raise UserError(
            'The config shares its model out among processes (FSDPStrategy): start it with '
            "'tools/dist_train.sh CONFIG NUMBER_OF_GPUS'"
        )
    # Its FSDP makes streams for the CPU, which has none ("Stream() takes no arguments").
    if is_sharded(cfg) and torch.__version__.startswith('2.1.') and not torch.cuda.is_available():
        raise UserError(
            'The config shares its model out among processes (FSDPStrategy), which torch 2.1 does on GPUs only, and '
            'none is used here: take GPUs, or a later torch'
        )


@contextmanager
def leaving_processes() -> Iterator[None]:
    """Take leave of the other processes at the end of a run, also of a training that a scheduler has ended early.

    Over gloo the process ends here, its files written: otherwise torch now and then aborts a finished one ("terminate
    called without an active exception"), and the launcher calls the whole run failed. Seen in a backtrace with torch
    2.13 on Python 3.11: a thread of ``ProcessGroupGloo::runLoop`` drops the last all-reduce of DDP, with it a Python
    object, and asks for the interpreter's lock for that; Python, which is ending, ends the thread instead, within a
    destructor, where C++ allows no such thing. ``destroy_process_group`` before the end does not help. To be
    removed once Python 3.14, which lets such threads wait, is the oldest supported.
    """
    code = 0
    try:
        yield
    except SystemExit as end:
        if end.code != RESUME_ME:
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
        sys.exit(code)
