"""Time and memory of backbones, always several side by side in one run.

Read on from here: contestants.py and cases.py say what is measured; memory.py measures it, and, of
mmgcvit/experiments/measuring, timing.py and process.py; layers.py looks inside one model; report.py writes tables.
"""

# ruff: noqa: E402 (where some of the files are is said first)

from pathlib import Path

# As files of this package, not of mmgcvit: that one may be imported from another checkout.
__path__.append(str(Path(__file__).resolve().parents[2] / 'mmgcvit' / 'experiments' / 'measuring'))

from .cases import Case, Mode, Precision
from .contestants import build_contestant
from .layers import LayerCost, Limits, machine_limits, profile_layers
from .memory import peak_memory
from .process import OwnProcess
from .report import Series, Table, machine_in_words, plot_bars, plot_growth, save_report
from .timing import Timing, time_side_by_side

__all__ = [
    'Case',
    'LayerCost',
    'Limits',
    'Mode',
    'OwnProcess',
    'Precision',
    'Series',
    'Table',
    'Timing',
    'build_contestant',
    'machine_in_words',
    'machine_limits',
    'peak_memory',
    'plot_bars',
    'plot_growth',
    'profile_layers',
    'save_report',
    'time_side_by_side',
]
