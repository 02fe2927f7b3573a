"""The steps of a rehearsal: the commands of a real run, one after the other, each checked."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mmengine.config import Config

from .checks import CheckError, Observed, check_resumed, check_tested, check_training
from .observer import FILE
from .schedule import ITERATIONS, longer

LINES_OF_A_FAILURE = 25
# Runs a module that is a program with its arguments, output and errors to a file; returns its exit code.
RunProgram = Callable[[list[str], TextIO], int]


@dataclass
class Step:
    """One command of a run.

    Attributes:
        name: For example ``'train'``.
        what: What it shows.
        arguments: A module that is a program, and its arguments.
        check: Takes what was observed; returns what was found, or raises a :class:`CheckError`.
    """

    name: str
    what: str
    arguments: list[str]
    check: Callable[[Observed], str]


def in_new_process(program: list[str], log: TextIO) -> int:
    """Run a program as users do: nothing that this process has imported hides what it does not import itself."""
    return subprocess.run([sys.executable, '-m', *program], stdout=log, stderr=subprocess.STDOUT).returncode


def rehearse(cfg: Config, folder: Path, say: Callable[[str], None], run: RunProgram = in_new_process) -> bool:
    """Run a prepared config as users do, in processes of their own.

    Args:
        cfg: The config, as written to ``<folder>/config.py``.
        folder: Where the config is; logs go there too.
        say: Takes each line for the user.
        run: Runs each program.

    Returns:
        Whether every step succeeded. At the first that does not the rehearsal ends, and its last lines are said.
    """
    seen: dict[str, Observed] = {}
    for step in steps(cfg, folder, seen):
        began = time.perf_counter()
        error, found = run_step(step, folder, seen, run)
        took = f'{time.perf_counter() - began:.0f} s'
        if error is not None:
            name = 'build' if step.name == 'train' and not seen else step.name
            say(f'{name}: FAILED after {took}: {error}\n  whole log: {folder / step.name}.log')
            return False
        say(f'{step.name}: OK ({took}; {step.what})\n  {found}')
    return True


def steps(cfg: Config, folder: Path, seen: dict[str, Observed]) -> Iterator[Step]:
    """The commands; the checkpoint of the last is known only when the ones before it have run."""
    config, train, test = str(folder / 'config.py'), ('mmgcvit', 'train'), ('mmgcvit', 'test')
    yield Step(
        'train',
        f'model and data build, {ITERATIONS} iterations, checkpoint',
        [*train, config],
        lambda observed: check_training(cfg, observed),
    )
    yield Step(
        'resume',
        f'{ITERATIONS} more iterations from the checkpoint, validation',
        [*train, config, '--resume', '--cfg-options', longer(cfg)],
        lambda observed: check_resumed(cfg, seen['train'], observed),
    )
    if cfg.get('test_cfg') is not None and cfg.get('test_dataloader'):
        checkpoint = (folder / 'run' / 'last_checkpoint').read_text().strip()
        yield Step(
            'test',
            'the checkpoint loads and is scored',
            [*test, config, checkpoint],
            lambda observed: check_tested(cfg, seen['resume'], observed),
        )


def run_step(step: Step, folder: Path, seen: dict[str, Observed], run: RunProgram) -> tuple[str | None, str]:
    """Run a command and check what it did; return what went wrong, if anything, and what was found."""
    observed, log = folder / 'run' / FILE, folder / f'{step.name}.log'
    observed.unlink(missing_ok=True)
    with log.open('w') as file:
        exit_code = run(step.arguments, file)
    if observed.is_file():
        seen[step.name] = json.loads(observed.read_text())
    if exit_code:
        last = log.read_text(errors='replace').splitlines()[-LINES_OF_A_FAILURE:]
        return f'exit code {exit_code}\n' + '\n'.join(f'  | {line}' for line in last), ''
    if step.name not in seen:
        return 'it ended without having trained or tested', ''
    try:
        return None, step.check(seen[step.name])
    except CheckError as error:
        return str(error), ''
