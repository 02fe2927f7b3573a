"""The package's registries, children of mmengine's.

mmengine, mmdet, mmseg and mmpretrain find ``dict(type='mmgcvit.GCViT', ...)`` through them from their own scopes.
"""

from importlib.util import find_spec

from mmengine import registry as mmengine
from mmengine.registry import Registry

SCOPE = 'mmgcvit'
# Without the host there is nothing to register.
OF_MMDET, OF_MMPRETRAIN = ([f'mmgcvit.hosts.{host}'] if find_spec(host) else [] for host in ('mmdet', 'mmpretrain'))


def child_of(parent: Registry, *locations: str) -> Registry:
    """A registry of what these modules hold, which are imported when something is looked for."""
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=[*locations])


MODELS = child_of(mmengine.MODELS, 'mmgcvit', *OF_MMDET)
DATASETS = child_of(mmengine.DATASETS, 'mmgcvit.datasets.imagenet_v2')
TASK_UTILS = child_of(mmengine.TASK_UTILS, *OF_MMDET)
TRANSFORMS = child_of(mmengine.TRANSFORMS, 'mmgcvit.datasets.checks.loading', *OF_MMDET)
HOOKS = child_of(
    mmengine.HOOKS,
    *OF_MMDET,
    'mmgcvit.experiments.rehearsal',
    'mmgcvit.visualization.predictions',
    'mmgcvit.engine.saving',
    'mmgcvit.engine.early_end',
    'mmgcvit.engine.exact_resume',
    'mmgcvit.engine.finite',
    'mmgcvit.engine.precision',
)
LOOPS = child_of(mmengine.LOOPS, 'mmgcvit.engine.loops')
OPTIM_WRAPPERS = child_of(mmengine.OPTIM_WRAPPERS, 'mmgcvit.engine.precision')
FUNCTIONS = child_of(mmengine.FUNCTIONS, 'mmgcvit.engine.sharding')
STRATEGIES = child_of(mmengine.STRATEGIES, 'mmgcvit.engine.sharding')
OPTIM_WRAPPER_CONSTRUCTORS = child_of(mmengine.OPTIM_WRAPPER_CONSTRUCTORS, *OF_MMPRETRAIN)
