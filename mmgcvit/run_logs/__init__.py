"""What a run has logged, read back and drawn."""

from .curves import draw_curves
from .scalars import Run, RunLogError, objects_in, read_run

__all__ = ['Run', 'RunLogError', 'draw_curves', 'objects_in', 'read_run']
