"""Trainings that are killed (SIGKILL) at random moments, resumed, and compared to those that were not, bit for bit.

Run:  python -m tests.engine.kills --kills 10 --while-writing 5 --seed 0
"""

import argparse
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .. import fork_server
from ..tools.commands import CONFIGS, TOOLS, environment_for, make_digits, output_of
from .drawing import difference, last_state

TASKS = ('classify', 'segment')
# That a training of either writes at least.
CHECKPOINTS = 10
# Of a training that took less than the one that its moments were chosen by.
ENDED = ' (had ended: no kill)'


class Outcome(NamedTuple):
    """What came of one kill."""

    moment: str
    # Iteration of the checkpoint that was resumed; 0 where none was there yet.
    resumed_from: int
    # None if every number is the same, else the end of a sentence.
    difference: str | None


def command(task, work_dir):
    """A training that keeps one checkpoint."""
    config = CONFIGS / f'kills_{task}.py'
    options = ['--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=1']
    return [TOOLS / 'train.py', config, '--work-dir', work_dir, '--resume', '--device', 'cpu', *options]


def train(digits, task, work_dir):
    """Train to the end, from the newest checkpoint if there is one; returns what was printed."""
    return output_of(fork_server.run(*command(task, work_dir), environment=environment_for(digits)), fails=False)


class Moment(NamedTuple):
    """So many seconds after the number-th checkpoint of a training was begun: 0 is while it is written."""

    number: int
    seconds: float

    def __str__(self):
        return f'{self.seconds:.2f} s after checkpoint {self.number} was begun'


def kill(digits, task, work_dir, moment):
    """Begin a training, and kill it with all its processes at a moment; what it was at then, in words."""
    log, written = work_dir.with_suffix('.log'), set()
    process = fork_server.start(*command(task, work_dir), environment=environment_for(digits), output=log, errors=log)
    while process.exitcode is None and len(written) < moment.number:
        written |= {path.name for path in work_dir.glob('*.pth.unfinished')}
        process.join(0.0005)
    process.join(moment.seconds)
    has_ended = process.exitcode is not None
    fork_server.end(process)
    if has_ended:
        return ENDED
    return ' (torn)' if list(work_dir.glob('*.unfinished')) else ''


def kill_once(digits, task, folder, moment, expected):
    """One training, killed at a moment and resumed."""
    work_dir = Path(tempfile.mkdtemp(dir=folder))
    words = f'{moment}{kill(digits, task, work_dir, moment)}'
    resumed = re.search(r'resumed epoch: \d+, iter: (\d+)', train(digits, task, work_dir))
    return Outcome(words, int(resumed[1]) if resumed else 0, difference(last_state(work_dir), expected))


def kill_often(digits, task, folder, choose, kills, while_writing):
    """A task's outcomes, at moments from its start to its end."""
    whole = folder / task
    whole.mkdir()
    began = time.perf_counter()
    train(digits, task, whole)
    took, expected = time.perf_counter() - began, last_state(whole)
    step = took / CHECKPOINTS / 2
    moments = [Moment(choose.randint(0, CHECKPOINTS - 1), choose.uniform(0, step)) for _ in range(kills)]
    moments += [Moment(choose.randint(2, CHECKPOINTS), 0) for _ in range(while_writing)]
    for moment in moments:
        yield kill_once(digits, task, folder, moment, expected)


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.engine.kills', description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=10, help='of each task')
    parser.add_argument('--while-writing', type=int, default=5, help='of each task, while a checkpoint is written')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    args = parser.parse_args()
    choose, outcomes = random.Random(args.seed), []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_digits(folder / 'digits')
        for task in TASKS:
            for outcome in kill_often(folder / 'digits', task, folder, choose, args.kills, args.while_writing):
                sys.stdout.write(f'{task}: {outcome}\n')
                outcomes.append(outcome)
    killed = sum(not outcome.moment.endswith(ENDED) for outcome in outcomes)
    sys.stdout.write(f'{killed} of {len(outcomes)} were killed before their end\n')
    sys.exit(any(outcome.difference for outcome in outcomes))


if __name__ == '__main__':
    main()
