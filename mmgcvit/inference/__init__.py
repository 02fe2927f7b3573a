"""Run trained models on images and videos; return, draw and write their predictions.

To read the code, start with :func:`load` in :mod:`.loading`, then read :mod:`.predictor`.
"""

from typing import TYPE_CHECKING

from ..errors import UserError
from ..lazy_imports import make_lazy_imports

if TYPE_CHECKING:
    from .loading import load
    from .predictor import Predictor
    from .results import Classification, Detections, Prediction, Segmentation

__all__ = ['Classification', 'Detections', 'Prediction', 'Predictor', 'Segmentation', 'UserError', 'load']
RESULTS = dict.fromkeys(('Classification', 'Detections', 'Prediction', 'Segmentation'), 'results')
__getattr__, __dir__ = make_lazy_imports(__name__, {'load': 'loading', 'Predictor': 'predictor', **RESULTS})
