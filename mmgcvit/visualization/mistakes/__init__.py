"""What a trained model gets wrong on a data set: which classes it takes for which, and the images it does worst on.

:func:`find_mistakes` is the way in. Images go through :class:`mmgcvit.inference.Predictor`, as with ``mmgcvit
predict``; what is true of them comes from the hosts' data sets.
"""

from .confusion import Confusion
from .finding import Folder, Found, find_mistakes, write_confusion, write_worst
from .judging import SCORES, Truths, truths_of

__all__ = [
    'SCORES',
    'Confusion',
    'Folder',
    'Found',
    'Truths',
    'find_mistakes',
    'truths_of',
    'write_confusion',
    'write_worst',
]
