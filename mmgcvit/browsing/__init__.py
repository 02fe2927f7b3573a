"""A data set as a network gets it: each sample as it is stored, beside what augmentation makes of it."""

from .draws import Sample, Samples
from .sheets import sheets_of

__all__ = ['Sample', 'Samples', 'sheets_of']
