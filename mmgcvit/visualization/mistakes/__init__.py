"""What a trained model gets wrong on a data set: which classes it takes for which, and the images it does worst on.

:func:`find_mistakes` is the way in. Images go through :class:`mmgcvit.inference.Predictor`, as with ``mmgcvit
predict``; what is true of them comes from the hosts' data sets.
"""

from .confusion import Confusion
from .finding import Found, find_mistakes
from .truths import Truths, truths_of
from .writing import Folder, write_confusion, write_worst

__all__ = ['Confusion', 'Folder', 'Found', 'Truths', 'find_mistakes', 'truths_of', 'write_confusion', 'write_worst']
