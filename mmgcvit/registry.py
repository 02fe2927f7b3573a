"""The package's registries, children of mmengine's.

mmengine, mmdet, mmseg and mmpretrain find ``dict(type='mmgcvit.GCViT', ...)`` through them from their own scopes.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import Registry

MODELS = Registry('model', parent=MMENGINE_MODELS, scope='mmgcvit', locations=['mmgcvit'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=MMENGINE_OPTIM_WRAPPERS, scope='mmgcvit', locations=['mmgcvit'])
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='mmgcvit', locations=['mmgcvit.classification'])
