"""Visualise attention, mistakes and training curves of models.

Attention, global queries, Grad-CAM and LSA's shifts each have a file that computes arrays and draws them (begin with
``attention.py``). ``mistakes.py`` compares predictions with the ground truth, ``val_images.py`` draws both during
training, ``curves.py`` plots logs. Experiments and commands may import this package.
"""

from .attention import attention, draw_attention
from .drawing import check_ending, save
from .gradcam import draw_gradcam, gradcam
from .queries import draw_queries, queries
from .shifts import draw_shifts, shifts

__all__ = ['attention', 'check_ending', 'gradcam', 'queries', 'save', 'shifts']
__all__ += ['draw_attention', 'draw_gradcam', 'draw_queries', 'draw_shifts']
