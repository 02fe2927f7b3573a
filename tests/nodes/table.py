"""The table of docs/launching.md: what happens to ranks at a moment, what they say, and how they
end.

The rows' names are in the table of the page.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

TERM, HUP, USR1, KILL, STOP = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGKILL,
    signal.SIGSTOP,
)
PREEMPTED = 143
LOST = 'another rank has ended or hangs'
# Gloo's own error is in parentheses. A rank that has ended has another one.
TIMED_OUT = rf'ends by an error \(.*(Timed out waiting|Application timeout).*{LOST}'
SAVING = 'saving a checkpoint after this iteration'
NO_SPACE = re.escape('train: No space left on device. Free some disk space')


@dataclass(frozen=True)
class Case:
    """What happens to some of a number of ranks at a moment of a training with two epochs."""

    row: str  # of the table
    event: int | str  # a signal, or an error of the disk
    moment: str
    iteration: int  # iterations that are done; an epoch has 3 on 2 ranks, 2 on 3 ranks
    ranks: Sequence[int]  # those to which it happens
    codes: Sequence[int]  # the exit codes of all ranks
    says: Sequence[str]  # patterns of what each rank says, '' for nothing that is compared
    is_saved: bool = False  # whether a checkpoint of exactly these iterations is left
    settings: Sequence[str] = field(default_factory=tuple)
    has_nodes: bool = False  # whether each rank is on a machine of its own
    mark: str = 'slow'  # of pytest

    @property
    def name(self) -> str:
        return f'{self.row}-{self.event}-{self.moment}-{len(self.codes)}'


def preempt(row: str, event: int, moment: str, iteration: int, rank: int, num_ranks: int, **kwargs):
    """Return the case of a signal at one rank, at which all save and end."""
    said = f'interrupted after iteration {iteration + (moment == "iteration")}; checkpoint: '
    if moment != 'validation':
        said = f'(?s)(?=.*{SAVING}).*{said}'  # they are in two streams, in any order
    return Case(
        row=row,
        event=event,
        moment=moment,
        iteration=iteration,
        ranks=[rank],
        codes=[PREEMPTED] * num_ranks,
        says=[said, *[''] * (num_ranks - 1)],
        is_saved=True,
        **kwargs,
    )


def lose(row: str, event: int | str, moment: str, iteration: int, rank: int, num_ranks: int, **kw):
    """Return the case of a rank that is lost, after which the others end by themselves."""
    is_error = isinstance(event, str)
    says = [kw.pop('others_say', LOST)] * num_ranks
    says[rank] = kw.pop('says', '')
    codes = [1] * num_ranks
    codes[rank] = 1 if is_error else -KILL
    return Case(row, event, moment, iteration, ranks=[rank], codes=codes, says=says, **kw)


LATE = ('train_cfg.type=mmgcvit.LateLoop',)
SHORT = ('env_cfg.dist_cfg.timeout=30',)
CASES = [
    # SIGTERM ends a start as the kernel does, without Python.
    Case('start', TERM, 'start', 0, [0, 1], [-TERM] * 2, ['', ''], mark='release'),
    Case('start', USR1, 'start', 0, [0, 1], [PREEMPTED] * 2, ['interrupted at the start'] * 2),
    Case('start', HUP, 'start', 0, [0], [PREEMPTED], ['interrupted at the start'], mark='release'),
    preempt('iteration', TERM, 'iteration', 1, rank=1, num_ranks=2),
    preempt('iteration', HUP, 'iteration', 2, rank=0, num_ranks=2, mark='release'),
    preempt('iteration', USR1, 'iteration', 1, rank=2, num_ranks=3, mark='long'),
    preempt('validation', TERM, 'validation', 3, rank=1, num_ranks=2, mark='release'),
    preempt('validation', USR1, 'validation', 3, rank=0, num_ranks=2, settings=LATE, mark='long'),
    preempt('validation', TERM, 'validation', 2, rank=2, num_ranks=3, mark='release'),
    # Nobody passes the signal on to another machine, whose rank meets the lost one.
    preempt('nodes', TERM, 'validation', 3, rank=1, num_ranks=2, has_nodes=True),
    preempt('nodes', USR1, 'validation', 3, 0, 2, has_nodes=True, mark='release'),
    preempt('nodes', TERM, 'iteration', 2, 0, 2, has_nodes=True, mark='release'),
    preempt('save', TERM, 'saving', 3, rank=0, num_ranks=2, mark='release'),
    lose('killed', KILL, 'iteration', 2, rank=0, num_ranks=2),
    lose('killed', KILL, 'iteration', 4, rank=1, num_ranks=2, mark='release'),
    lose('killed', KILL, 'iteration', 3, rank=1, num_ranks=3, mark='release'),
    lose('killed', KILL, 'validation', 3, rank=1, num_ranks=2, mark='release'),
    lose('killed', KILL, 'saving', 6, rank=0, num_ranks=2, mark='long'),
    # The other rank waits at the end of the training.
    lose('killed', KILL, 'scored', 6, rank=1, num_ranks=2, mark='long'),
    lose('hangs', STOP, 'iteration', 1, 1, 2, others_say=TIMED_OUT, settings=SHORT, mark='long'),
    lose(
        'hangs', STOP, 'validation', 3, 1, 2, others_say=TIMED_OUT, settings=SHORT, mark='release'
    ),
    lose('disk', 'ENOSPC', 'saving', 6, rank=0, num_ranks=2, says=NO_SPACE, mark='long'),
    lose('disk', 'EDQUOT', 'saving', 6, 0, 2, says='Disk quota exceeded. Free', mark='release'),
    lose('disk', 'EFBIG', 'saving', 3, 0, 2, says='File too large: a limit', mark='release'),
    lose('disk', 'full_logs', 'iteration', 4, 0, 2, says=NO_SPACE, mark='release'),
]
