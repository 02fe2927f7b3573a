"""Prepare a training or test: machine, config, process group, data and runner."""

import logging
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_world_size, init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing
from rich.progress import Progress

from ..checkpoints.safe_loading import Checkpoint, safe_checkpoint_loading
from ..config import (
    LOADERS,
    enter_scope,
    iter_dicts,
    override_settings,
    parse_cfg_options,
)
from ..datasets.checks.datasets import check_datasets
from ..datasets.checks.sources import check_presence, get_check_settings
from ..device import check_gpus, disable_cudnn_attention, list_cpus, resolve_device
from ..errors import UserError, escape_controls, get_first_line
from ..files import make_portable_path
from ..mirroring import find_mirroring
from ..mmengine_utils import DEFAULT_TIMEOUT, get_timeout
from ..models.speed_up import speed_up
from ..run_data import note_work_dir
from .hooks.compile_backbone import CudnnBenchmarkHook
from .hooks.encode_masks import EncodeMasksHook
from .hooks.loader_check import FEWER_WORKERS, MORE_MEMORY, ONE_IMAGE
from .hooks.progress import open_progress
from .unchanged import hash_data_state, is_checked, note_checked
from .work_dir import FormattedConfig, Runner

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
# What may have gone wrong in a data worker, and what to do.
WORKER_ADVICE = (
    'The memory or /dev/shm, through which data workers pass batches on, may be full. '
    f'Use {MORE_MEMORY} or {FEWER_WORKERS}. '
    'For slow disks, set train_dataloader.timeout=SECONDS. Then start it again (--resume)'
)
# Parts of the errors of collectives (Gloo, NCCL) when another rank has ended, or does not answer.
LOST_RANK = re.compile(
    'Connection (closed|reset) by peer|Timed out waiting|Application timeout|'
    'Broken pipe|Watchdog caught collective operation timeout|communicator was aborted',
    re.IGNORECASE,
)
# In seconds. While the other ranks wait, one prints the error that all have. Then a launcher ends
# all processes: torchrun of torch 2.1 after 5 seconds.
ERROR_DELAY = 8


def check_machine(device: str, launcher: str = 'none') -> None:
    """Check the GPUs, set the device, allow TF32 and disable cuDNN's attention.

    Raise a UserError if a step fails.
    """
    check_gpus()
    gpu = resolve_device(device)
    if gpu.index is not None:
        if launcher != 'none':
            raise UserError(
                'with --launcher, choose GPUs with CUDA_VISIBLE_DEVICES, not with --device '
                f'{device}'
            )
        torch.cuda.set_device(gpu)
    # As before torch 1.12, let GPUs round the inputs of float32 products to 10 bits of mantissa, as
    # convolutions do by default. NVIDIA_TF32_OVERRIDE=0 forbids both.
    torch.backends.cuda.matmul.allow_tf32 = True
    disable_cudnn_attention()


def apply_options(
    cfg: Config,
    options: Sequence[str] | None = None,
    work_dir: str | Path | None = None,
    launcher: str = 'none',
) -> Config:
    """Return a copy of a config from :func:`.locate_data` with the options ``--cfg-options``, the
    launcher and the work dir (default: the config's, else ``work_dirs/CONFIG_NAME``).
    """
    changed = deepcopy(cfg)
    override_settings(changed, parse_cfg_options(options), make_portable_path(cfg.filename))
    changed.launcher = launcher
    default = f'work_dirs/{Path(cfg.filename).stem}'
    # mmengine would drop link/.. from a path.
    note_work_dir(changed, Path(work_dir or changed.get('work_dir') or default))
    return changed


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
            f'--launcher {cfg.launcher}: torch finds no GPU. Remove --launcher, or use '
            'tools/dist_train.sh or dist_test.sh'
        )
    dist.init_process_group('gloo', timeout=timeout)
    cfg.model_wrapper_cfg = CPU_MODEL_WRAPPER
    for settings in iter_dicts(cfg.model):
        if settings.get('type') == 'SyncBN':
            settings['type'] = 'BN'


@contextmanager
def run_rank(launcher: str, local_rank: int) -> Iterator[None]:
    """Set LOCAL_RANK, which mmengine reads, and destroy the process group when a run ends or is
    interrupted, but not after an error.

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
    except UserError:
        if os.environ['LOCAL_RANK'] != '0':
            time.sleep(ERROR_DELAY)
        raise
    except RuntimeError as error:
        if not LOST_RANK.search(str(error)):
            raise
        raise UserError(
            f'rank {os.environ.get("RANK")} ends, because another rank has ended or hangs '
            f'({get_first_line(error)}). If it has ended, its error is in the output, or it was '
            'killed (SIGKILL: the memory may be full). If it hangs, it has not answered for '
            f'env_cfg.dist_cfg.timeout seconds (default: {DEFAULT_TIMEOUT}). Start it again with '
            '--resume'
        ) from error
    except KeyboardInterrupt as interrupt:
        if not dist.is_initialized():
            raise
        code = 128 + (interrupt.args or [signal.SIGINT])[0]
    if not dist.is_initialized():
        return
    is_gloo = dist.get_backend() == 'gloo'
    if is_gloo and code == 0:
        dist.barrier()
    if is_gloo or code:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    dist.destroy_process_group()


@contextmanager
def explain_loader_errors() -> Iterator[None]:
    """Turn errors of data workers, and of batch norms that get one value, into a UserError of one
    line.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        message = str(error)
        if isinstance(error, UserError) and message.startswith('Caught '):
            # The last line of a worker's traceback is the error's type and message.
            reason = message.splitlines()[-1].partition(': ')[2]
        elif message.startswith('Expected more than 1 value per channel'):
            reason = ONE_IMAGE
        elif message.startswith(('DataLoader worker (', 'DataLoader timed out')):
            reason = f'{get_first_line(error).rstrip(". ")}. {WORKER_ADVICE}'
        else:
            raise
        raise UserError(reason) from error


def check_data(cfg: Config, dataloaders: Sequence[str]) -> None:
    """Check the datasets of dataloaders.

    Print issues that do not stop the run, and raise a UserError for others. With
    ``data_checks.images=0``, look only for annotation files and folders.
    """
    check_presence(cfg, dataloaders)
    enter_scope(cfg)
    if get_check_settings(cfg)['images'] == 0:
        return
    state = hash_data_state(cfg, dataloaders)
    if cfg.get('resume') and is_checked(Path(cfg.work_dir), state):
        sys.stderr.write('data: not checked again, since the annotation files are as before\n')
        return
    if get_world_size() > 1:
        sys.stderr.write(
            'data: rank 0 checks annotations and images (data_checks); the other ranks wait\n'
        )
    report = check_datasets(
        cfg,
        loaders=dataloaders,
        num_images=get_check_settings(cfg)['images'],
        progress=Progress(disable=True),
    )
    errors = report.format_messages()
    if errors:
        errors.append("To check all images, run 'mmgcvit check-data CONFIG'")
        raise UserError('\n'.join(errors))
    notes = [*report.format_messages(stops_run=False), *report.notes]
    if 'train_dataloader' in dataloaders:
        notes += find_mirroring(cfg)
    for note in notes:
        sys.stderr.write(f'data: {escape_controls(note)}\n')
    if 'train_dataloader' in dataloaders:  # else nothing has locked the work dir
        note_checked(Path(cfg.work_dir), state)


@contextmanager
def open_runner(cfg: Config, checkpoint: Checkpoint | None, progress: bool) -> Iterator[Runner]:
    """Yield mmengine's runner of a config, which gets the content of ``checkpoint`` for its
    ``load_from``.

    Until the context ends, load checkpoints safely, explain the errors of data workers and, if
    ``progress``, show the progress.
    """
    runner_type = cfg.get('runner_type', 'Runner')
    if runner_type != 'Runner':
        raise UserError(
            f'runner_type={runner_type} is not supported. Remove it, or set runner_type=Runner'
        )
    num_cpus = count_cpus()
    for loader in filter(None, map(cfg.get, LOADERS)):
        loader.num_workers = min(loader.get('num_workers', 0), num_cpus)
        loader.setdefault('timeout', LOADER_TIMEOUT)
        if loader.num_workers == 0:
            for name in ('persistent_workers', 'prefetch_factor', 'timeout'):
                loader.pop(name, None)  # torch rejects these settings
        if torch.cuda.is_available():
            loader.setdefault('pin_memory', True)
    with (
        safe_checkpoint_loading(cfg.work_dir, checkpoint),
        open_progress(progress) as hook,
        explain_loader_errors(),
    ):
        del checkpoint  # mmengine frees its content after loading
        runner = Runner.from_cfg(FormattedConfig(cfg.to_dict(), cfg.text, cfg.filename))
        speed_up(runner.model)
        runner.register_hook(CudnnBenchmarkHook())
        runner.register_hook(EncodeMasksHook())
        if hook:
            runner.register_hook(hook)
        yield runner


def count_cpus() -> int:
    """Return the number of CPUs for this rank.

    Launchers differ in whether the ranks of a node share its CPUs.
    """
    cpus = [(socket.gethostname(), cpu) for cpu in list_cpus()]
    num_ranks = Counter(chain.from_iterable(all_gather_object(cpus)))
    return max(1, len(cpus) // max(num_ranks[cpu] for cpu in cpus))
