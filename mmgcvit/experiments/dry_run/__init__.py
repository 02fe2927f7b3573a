"""A rehearsal of a whole run in minutes on a CPU: a config made small, then run by the very commands of a real run.

Read on from here: prepare.py -> data.py, sizes.py, schedule.py, machine.py; steps.py -> checks.py; observer.py sees
what happens inside the processes.
"""

from .prepare import Options, prepare
from .steps import rehearse

__all__ = ['Options', 'prepare', 'rehearse']
