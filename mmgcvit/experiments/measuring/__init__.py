"""Time and peak memory of a step, whatever it is. Imports nothing of this package.

The benchmark of a clone (tools/benchmarking) has these files as its own, so that its processes may import another
checkout of this package.
"""

from .peaks import peak_memory_of
from .process import OwnProcess
from .timing import Timing, time_side_by_side

__all__ = ['OwnProcess', 'Timing', 'peak_memory_of', 'time_side_by_side']
