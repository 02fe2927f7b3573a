"""Time and memory of backbones, always several side by side in one run.

Read on from here: contestants.py and cases.py say what is measured; timing.py, process.py and memory.py measure it;
layers.py looks inside one model; report.py writes tables and plots.
"""

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
