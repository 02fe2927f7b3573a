"""Visualise what models attend to, their mistakes, and training curves.

Four files each compute and draw one thing: ``attention.py`` (read it first), ``queries.py`` (GC ViT's global queries),
``gradcam.py``, and ``shifts.py`` (LSA's attention to shifted copies of the image). ``mistakes.py`` compares predictions
with the ground truth. During training, ``val_images.py`` draws predictions and ground truth. ``curves.py`` plots logs.
"""

from typing import TYPE_CHECKING

from ..lazy_imports import make_lazy_imports

if TYPE_CHECKING:
    from .attention import compute_attention, draw_attention
    from .drawing import check_ending, save
    from .gradcam import compute_gradcam, draw_gradcam
    from .queries import compute_queries, draw_queries
    from .shifts import compute_shifts, draw_shifts

__all__ = ['check_ending', 'compute_attention', 'compute_gradcam', 'compute_queries', 'compute_shifts', 'save']
__all__ += ['draw_attention', 'draw_gradcam', 'draw_queries', 'draw_shifts']
MODULES = {'check_ending': 'drawing', 'save': 'drawing'}
for name in ('attention', 'gradcam', 'queries', 'shifts'):
    MODULES |= {f'compute_{name}': name, f'draw_{name}': name}
__getattr__, __dir__ = make_lazy_imports(__name__, MODULES)
