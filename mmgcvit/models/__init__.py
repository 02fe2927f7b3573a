"""The networks GC ViT and LSA, the layers that they share, and their ablation variants.

Begin in gcvit/backbone.py, then read gcvit/stage.py, gcvit/attention.py and layers/. base.py has
the base class, whose own base in pretrained.py loads weights. speed_up.py replaces layers by faster
ones, and necks.py has a neck for small classifiers.
"""

from .gcvit import GCViT
from .lsa import LSA

__all__ = ['LSA', 'GCViT']
