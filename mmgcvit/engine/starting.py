"""What a run begins with, training or testing: the machine, its config, its data, its folders."""

import os
import secrets
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, get_world_size
from rich.progress import Progress

from ..datasets.checks import Outcome, check_datasets
from ..datasets.checks.presence import check_presence
from ..datasets.checks.sources import settings_of
from ..errors import UserError
from ..files import check_writable
from ..hosts.configs import enter_scope, read_config
from ..hosts.machine import check_gpus, use_cpu, use_gpus
from ..hosts.mmengine import do_together
from ..ops.compiled import check_operators_load
from .processes import RANK_VARIABLES

# What one machine has written the others see within this time, where they look at the same disk.
SECONDS_TO_APPEAR = 3


def look_at_machine(command: str | None, device: str, launcher: str = 'none') -> None:
    """Hide the GPUs that the user does not want; refuse GPUs and operators that are there and do not work.

    Where it is too late to hide them, the command of this name begins anew; None is a program of the user's.
    """
    if device == 'cpu':
        use_cpu(command)
    check_gpus()
    use_gpus(command, device, launcher)
    check_operators_load()


def load_config(
    path: str, options: Mapping[str, Any] | None = None, work_dir: str | None = None, launcher: str = 'none'
) -> Config:
    """Read a config for a run, with options, and with its folder: the named one, its own, or one of its name."""
    cfg = read_config(path, options)
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(path).stem)
    return cfg


def check_work_dir(work_dir: str) -> None:
    """Refuse a run's folder that cannot be written; it need not be there."""
    check_writable(Path(work_dir), f'the work dir {work_dir} (--work-dir)')


def check_data(cfg: Config, loaders: Sequence[str]) -> Counter[str]:
    """Make sure that the data sets of these loaders of a config are there and can be used, before anything is built.

    On each node the first process looks into them: at annotations as a whole, at some images, chosen by chance. What
    is repaired or left out is said; what would stop the run later, or make its results wrong, is refused by name, in
    all processes that have joined.

    Returns:
        How many images training passes over as its config asks it to, and why.
    """

    def look() -> Counter[str]:
        check_presence(cfg, loaders)
        settings = settings_of(cfg)
        if not is_first_of_node(cfg):
            return Counter()
        enter_scope(cfg)
        report = check_datasets(cfg, loaders, settings['images'], Progress(disable=True))
        refusals = report.format_sentences(Outcome.STOPS)
        if refusals:
            raise UserError('\n'.join([*refusals, "'mmgcvit check-data CONFIG' looks at all images"]))
        for words in report.format_sentences(Outcome.LEFT_OUT) + report.sentences(Outcome.REPAIRED) + report.notes:
            sys.stderr.write(f'data: {words}\n')
        sys.stderr.flush()
        return report.passed_over

    return do_together(look)


def is_first_of_node(cfg: Config) -> bool:
    """Whether this is the first process of its node, or the only one."""
    variables = RANK_VARIABLES.get(cfg.get('launcher'), {})
    return os.environ.get(variables.get('LOCAL_RANK', ''), '0') == '0'


def check_shared_folders(cfg: Config, evaluators: Sequence[str]) -> None:
    """Make sure that every process sees the folders through which processes pass files to each other.

    Asked at the start of a run with these evaluators of its config, not found out at the end of its first epoch. Where
    a process does not, all end, and the message names its node.
    """
    if get_world_size() == 1:
        return
    for folder, use in needed_folders(cfg, evaluators):
        blind = nodes_without(folder)
        if blind:
            raise UserError(
                f'{", ".join(blind)}: {folder.absolute()} is not the folder that process 0 has there. {use}; it must '
                'be on a disk that all nodes share: docs/launching.md, "Several nodes"'
            )


def needed_folders(cfg: Config, evaluators: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """The folders, and what for."""
    of_each = (cfg.get(name) for name in evaluators)
    metrics = [metric for each in of_each for metric in (each if isinstance(each, list | tuple) else [each]) if metric]
    # By mmengine's default, through files in the current folder.
    if any(each.get('collect_device', 'cpu') == 'cpu' and each.get('collect_dir') is None for each in metrics):
        yield Path.cwd(), 'The processes collect their results for the metrics through the folder they are started in'
    if cfg.get('resume') and Path(cfg.get('load_from') or f'{cfg.work_dir}/it').parent == Path(cfg.work_dir):
        yield Path(cfg.work_dir), 'The processes look there for the checkpoint to resume from'


def nodes_without(folder: Path) -> list[str]:
    """The nodes whose processes do not see what process 0 writes into a folder; where it cannot, all end."""
    name = error = None
    if get_rank() == 0:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f'.mmgcvit_shared_{secrets.token_hex(4)}'
            (folder / name).touch()
        except OSError as refusal:
            error = str(refusal)
    written = [(name, error)]
    broadcast_object_list(written)
    name, error = written[0]
    if error is not None:
        raise UserError(f'process 0 cannot write into {folder.absolute()} ({error}); start in a folder where it can')
    answers = all_gather_object((socket.gethostname(), appears(folder / name)))
    if get_rank() == 0:
        (folder / name).unlink()
    return list(dict.fromkeys(node for node, sees in answers if not sees))


def appears(path: Path) -> bool:
    """Whether a file can be seen that another machine has just written: absence is remembered a while."""
    until = time.monotonic() + SECONDS_TO_APPEAR
    while not path.is_file():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
        # Opening a folder has NFS ask its server again.
        for folder in reversed(path.parents):
            with suppress(OSError):
                os.close(os.open(folder, os.O_RDONLY))
    return True
