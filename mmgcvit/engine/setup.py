"""Prepare a training or test: load the config, check the machine and the data, build the runner."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from rich.progress import Progress

from ..config import enter_scope, read_config
from ..datasets.checks.datasets import check_datasets
from ..datasets.checks.paths import check_presence, get_check_settings
from ..device import check_gpus, use_device
from ..errors import UserError
from ..files import check_writable
from ..ops.compiled import check_operators_load
from .hooks.progress import ProgressHook


def check_machine(device: str = 'auto', launcher: str = 'none') -> None:
    """Check the GPUs, set the device and import mmcv's operators. Raise a UserError if one of these steps fails."""
    check_gpus()
    if launcher != 'none' and device.startswith('cuda:'):
        raise UserError(
            f'--device {device} cannot be used with --launcher, because each process uses its own GPU. Remove '
            '--device, and choose the GPUs with CUDA_VISIBLE_DEVICES'
        )
    use_device(device)
    check_operators_load()


def load_config(
    path: str, options: Mapping[str, Any] | None = None, work_dir: str | None = None, launcher: str = 'none'
) -> Config:
    """Read a config and apply the options. The default of ``work_dir`` is the config's, else ``work_dirs/CONFIG_NAME``.

    Raises:
        UserError: The work dir cannot be written, the config cannot be read, or an option would have no effect.
    """
    cfg = read_config(path, options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(path).stem)
    check_work_dir(cfg.work_dir)
    return cfg


def check_work_dir(work_dir: str) -> None:
    """Raise a UserError if a work dir cannot be written. The work dir need not exist yet."""
    check_writable(Path(work_dir), f'the work dir {work_dir} (--work-dir)')


def check_data(cfg: Config, dataloaders: Sequence[str]) -> None:
    """Check the datasets of the named dataloaders. Print a line for each issue that does not stop the run.

    Raises:
        UserError: The data would stop the run later or make its results wrong.
    """
    check_presence(cfg, dataloaders)
    images = get_check_settings(cfg)['images']
    enter_scope(cfg)
    report = check_datasets(cfg, dataloaders, images, Progress(disable=True))
    errors = report.format_messages()
    if errors:
        raise UserError('\n'.join([*errors, "To check all images, run 'mmgcvit check-data CONFIG'"]))
    notes = report.format_messages(stops_run=False) + report.notes
    sys.stderr.write(''.join(f'data: {note}\n' for note in notes))
    sys.stderr.flush()


def build_runner(cfg: Config, progress: ProgressHook | None) -> Runner:
    """Build mmengine's runner from a config. Register ``progress``, unless it is None."""
    if cfg.get('runner_type', 'Runner') != 'Runner':
        raise UserError(f'runner_type={cfg.runner_type} is not supported. Remove it, or set runner_type=Runner')
    runner = Runner.from_cfg(cfg)
    if progress is not None:
        runner.register_hook(progress)
    return runner
