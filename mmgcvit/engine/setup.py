"""Prepare a training or test: the machine, the config, the process group, the data and the runner."""

import logging
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import all_gather_object, init_dist, is_distributed
from mmengine.hooks import Hook
from rich.progress import Progress

from ..config import LOADERS, enter_scope, iter_dicts, parse_cfg_options, read_config
from ..datasets.checks.datasets import check_datasets
from ..datasets.checks.sources import check_presence, get_check_settings
from ..device import check_gpus, disable_cudnn_attention, resolve_device
from ..errors import UserError, escape_controls
from ..files import make_portable_path
from ..mmengine_utils import ERROR_DELAY
from ..models.speed_up import speed_up
from .hooks.loader_check import LoaderCheckHook
from .hooks.progress import ProgressHook
from .work_dir import Runner

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
# In seconds. Without a timeout, a run waits for ever for a data worker that cannot pass its batch
# on.
LOADER_TIMEOUT = 600


def check_machine(device: str = 'auto', launcher: str = 'none') -> None:
    """Check the GPUs, set the device, allow TF32 and disable cuDNN's attention.

    Raise a UserError if a step fails.
    """
    check_gpus()
    if launcher != 'none' and device.startswith('cuda:'):
        raise UserError(
            f'with --launcher, choose GPUs with CUDA_VISIBLE_DEVICES, not with --device {device}'
        )
    gpu = resolve_device(device)
    if gpu.index is not None:
        torch.cuda.set_device(gpu)
    # As before torch 1.12, let GPUs round the inputs of float32 products to 10 bits of mantissa, as
    # convolutions do by default. NVIDIA_TF32_OVERRIDE=0 forbids both.
    torch.backends.cuda.matmul.allow_tf32 = True
    disable_cudnn_attention()


def load_config(
    path: str,
    options: Sequence[str] | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config; set its options, launcher and work dir (default: the config's, else
    ``work_dirs/CONFIG_NAME``).
    """
    cfg = read_config(path, parse_cfg_options(options))
    cfg.launcher = launcher
    # mmengine would drop link/.. from a path.
    cfg.work_dir = make_portable_path(
        Path(work_dir or cfg.get('work_dir') or f'work_dirs/{Path(path).stem}')
    )
    return cfg


def join_process_group(cfg: Config) -> None:
    """Initialise the process group of a launcher, so that rank 0 can then run checks for all ranks.

    Without a GPU, use gloo, because mmengine's ``init_dist`` needs GPUs. Replace SyncBN, which
    needs GPUs too, by BN.
    """
    if cfg.launcher == 'none' or is_distributed():
        return
    settings = cfg.get('env_cfg', {}).get('dist_cfg', {})
    if torch.cuda.is_available():
        init_dist(cfg.launcher, **settings)
        return
    if cfg.launcher != 'pytorch' or 'RANK' not in os.environ:
        advice = 'Remove --launcher, or use tools/dist_train.sh or dist_test.sh'
        raise UserError(f'--launcher {cfg.launcher}: torch finds no GPU. {advice}')
    timeout = settings.get('timeout')
    dist.init_process_group(
        'gloo', **({} if timeout is None else {'timeout': timedelta(seconds=timeout)})
    )
    cfg.model_wrapper_cfg = CPU_MODEL_WRAPPER
    for settings in iter_dicts(cfg.model):
        if settings.get('type') == 'SyncBN':
            settings['type'] = 'BN'


@contextmanager
def run_rank(launcher: str, local_rank: int) -> Iterator[None]:
    """Set LOCAL_RANK, which mmengine reads, and destroy the process group when a run ends, but not
    after an error.

    With gloo, exit the process here. Otherwise it sometimes aborts, because a thread of
    ``ProcessGroupGloo`` asks for the GIL while Python exits, also after ``destroy_process_group``.
    Remove this when the oldest Python is 3.14.
    """
    os.environ['LOCAL_RANK'] = os.environ.get(
        LOCAL_RANK_VARIABLES.get(launcher, 'LOCAL_RANK'), str(local_rank)
    )
    try:
        yield
    except UserError:
        if os.environ['LOCAL_RANK'] != '0':
            time.sleep(ERROR_DELAY)
        raise
    if dist.is_initialized() and dist.get_backend() == 'gloo':
        dist.barrier()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    if dist.is_initialized():
        dist.destroy_process_group()


def check_data(cfg: Config, dataloaders: Sequence[str]) -> None:
    """Check the datasets of dataloaders.

    Print issues that do not stop the run, and raise a UserError for others.
    """
    check_presence(cfg, dataloaders)
    enter_scope(cfg)
    report = check_datasets(
        cfg, dataloaders, get_check_settings(cfg)['images'], Progress(disable=True)
    )
    if errors := report.format_messages():
        raise UserError(
            '\n'.join([*errors, "To check all images, run 'mmgcvit check-data CONFIG'"])
        )
    for note in report.format_messages(stops_run=False) + report.notes:
        sys.stderr.write(f'data: {escape_controls(note)}\n')


def build_runner(cfg: Config, progress: ProgressHook | None) -> Runner:
    """Build mmengine's runner from a config. Register ``progress``, unless it is None."""
    if cfg.get('runner_type', 'Runner') != 'Runner':
        raise UserError(
            f'runner_type={cfg.runner_type} is not supported. Remove it, or set runner_type=Runner'
        )
    # At most one worker for each CPU of this process. Launchers differ in whether the ranks of a
    # node share its CPUs.
    cpus = [(socket.gethostname(), cpu) for cpu in os.sched_getaffinity(0)]
    num_ranks = Counter(cpu for rank_cpus in all_gather_object(cpus) for cpu in rank_cpus)
    num_cpus = len(cpus) // max(num_ranks[cpu] for cpu in cpus)
    for loader in filter(None, map(cfg.get, LOADERS)):
        loader.num_workers = min(loader.get('num_workers', 0), max(num_cpus, 1))
        loader.setdefault('timeout', LOADER_TIMEOUT)
        for name in (
            ('persistent_workers', 'prefetch_factor', 'timeout') if loader.num_workers == 0 else ()
        ):
            loader.pop(name, None)  # torch rejects these settings
        if torch.cuda.is_available():
            loader.setdefault('pin_memory', True)
    runner = Runner.from_cfg(cfg)
    speed_up(runner.model)
    for hook in filter(None, (CollectDirHook(), LoaderCheckHook(), progress)):
        runner.register_hook(hook)
    return runner


class CollectDirHook(Hook):
    """Let ranks exchange results for metrics in the work dir.

    mmengine's default is the current folder's .dist_test.
    """

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        # By attribute, since most metrics have no argument collect_dir.
        for metric in getattr(runner, f'{mode}_loop').evaluator.metrics if mode != 'train' else ():
            if getattr(metric, 'collect_dir', '') is None and metric.collect_device == 'cpu':
                metric.collect_dir = str(Path(runner.log_dir, 'collected'))
