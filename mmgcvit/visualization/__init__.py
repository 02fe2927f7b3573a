"""Pictures that explain what a trained network does, what it gets wrong, what it is given and how its training went.

For each subject one file computes arrays and draws them: attention, global queries, Grad-CAM, LSA's shifts (begin with
``attention.py``; ``networks.py`` is what they look at, ``drawing.py`` what they draw with); ``mistakes.py`` shows
where predictions are wrong, which ``judging.py`` tells, ``browsing.py`` shows samples, ``curves.py`` logs. Models are
loaded by :func:`mmgcvit.load`; networks are heard by hooks that are gone afterwards. The page, experiments and commands
may import this room.
"""

from .attention import attention, draw_attention
from .drawing import check_ending, save
from .gradcam import draw_gradcam, gradcam
from .queries import draw_queries, queries
from .shifts import draw_shifts, shifts

__all__ = ['attention', 'check_ending', 'gradcam', 'queries', 'save', 'shifts']
__all__ += ['draw_attention', 'draw_gradcam', 'draw_queries', 'draw_shifts']
