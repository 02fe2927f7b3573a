"""Run trained models on images and videos; get plain results, drawn pictures and JSON.

:func:`load` is the way in, for Python and for ``mmgcvit predict`` alike. Begin with :mod:`.loading`, then
:mod:`.predictor`. Subpackages from ``visualization`` on may import this one.
"""

from typing import TYPE_CHECKING

from ..errors import UserError
from ..on_demand import on_demand

if TYPE_CHECKING:
    from .loading import load
    from .predictor import Predictor
    from .results import Classification, Detections, Prediction, Segmentation

__all__ = ['Classification', 'Detections', 'Prediction', 'Predictor', 'Segmentation', 'UserError', 'load']
RESULTS = dict.fromkeys(('Classification', 'Detections', 'Prediction', 'Segmentation'), 'results')
__getattr__, __dir__ = on_demand(__name__, {'load': 'loading', 'Predictor': 'predictor', **RESULTS})
