"""The package's registry, a child of mmengine's.

mmengine, mmdet, mmseg and mmpretrain find ``dict(type='mmgcvit.GCViT', ...)`` through it from their own scopes.
"""

from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

MODELS = Registry('model', parent=MMENGINE_MODELS, scope='mmgcvit', locations=['mmgcvit'])
