"""Pictures that explain what a trained network does with an image.

For each subject a function that computes arrays, and one that draws them: attention, global queries, Grad-CAM, LSA's
shifts. Models are loaded by :func:`mmgcvit.load`; errors are :class:`mmgcvit.inference.UserError`. Networks are heard
by hooks that are gone afterwards.
"""

from .attention import Attention, BlockAttention, attention
from .draw_attention import draw_attention
from .draw_gradcam import draw_gradcam
from .draw_queries import draw_queries
from .draw_shifts import draw_shifts
from .drawing import check_ending, save
from .gradcam import GradCam, gradcam
from .queries import Queries, StageQuery, queries
from .shifts import Shifts, shifts
from .views import View

__all__ = [
    'Attention',
    'BlockAttention',
    'GradCam',
    'Queries',
    'Shifts',
    'StageQuery',
    'View',
    'attention',
    'check_ending',
    'draw_attention',
    'draw_gradcam',
    'draw_queries',
    'draw_shifts',
    'gradcam',
    'queries',
    'save',
    'shifts',
]
