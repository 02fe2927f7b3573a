"""The networks GC ViT and LSA, the layers that they share, and their ablation variants.

Begin in gcvit/backbone.py, then read gcvit/stage.py, gcvit/attention.py and layers/. base.py has
the base class.
"""

from .gcvit import GCViT
from .lsa import LSA

__all__ = ['LSA', 'GCViT']
