"""Folders that all nodes of a run must see: asked at its start, not found out at the end of its first epoch."""

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, get_world_size

from ..errors import UserError


def check_shared_folders(cfg: Config, evaluators: Sequence[str]) -> None:
    """Make sure that every process sees the folders through which processes pass files to each other.

    Args:
        cfg: A whole config, its processes joined.
        evaluators: Names of the evaluators in it that will run, for example ``['val_evaluator']``.

    Raises:
        UserError: A process does not; in every process. The message names its node.
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
    if any(collects_through_files(cfg.get(name)) for name in evaluators):
        yield Path.cwd(), 'The processes collect their results for the metrics through the folder they are started in'
    if cfg.get('resume') and Path(cfg.get('load_from') or f'{cfg.work_dir}/it').parent == Path(cfg.work_dir):
        yield Path(cfg.work_dir), 'The processes look there for the checkpoint to resume from'


def collects_through_files(evaluator: dict | list | None) -> bool:
    """Whether a metric of an evaluator collects as mmengine does by default: through files in the current folder."""
    metrics = evaluator if isinstance(evaluator, list | tuple) else [evaluator]
    return any(
        metric.get('collect_device', 'cpu') == 'cpu' and metric.get('collect_dir') is None
        for metric in metrics
        if metric
    )


def nodes_without(folder: Path) -> list[str]:
    """The nodes whose processes do not see what process 0 writes into a folder.

    Raises:
        UserError: Process 0 cannot write into it; in every process.
    """
    written = [write_into(folder) if get_rank() == 0 else None]
    broadcast_object_list(written)
    name, error = written[0]
    if error is not None:
        raise UserError(f'process 0 cannot write into {folder.absolute()} ({error}); start in a folder where it can')
    sees = (folder / name).is_file()
    answers = all_gather_object((socket.gethostname(), sees))
    if get_rank() == 0:
        (folder / name).unlink()
    return list(dict.fromkeys(node for node, sees in answers if not sees))


def write_into(folder: Path) -> tuple[str | None, str | None]:
    """Write an empty file into a folder; its name, or why there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(prefix='.mmgcvit_shared_', dir=folder)
    except OSError as error:
        return None, str(error)
    os.close(handle)
    return Path(path).name, None
