"""The package's registries, children of mmengine's.

mmengine, mmdet, mmseg and mmpretrain find ``dict(type='mmgcvit.GCViT', ...)`` through them from their own scopes.
"""

from importlib.util import find_spec

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

SCOPE = 'mmgcvit'
# Without the host there is nothing to register.
OF_MMDET, OF_MMPRETRAIN = ([f'mmgcvit.hosts.{host}'] if find_spec(host) else [] for host in ('mmdet', 'mmpretrain'))
MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['mmgcvit', *OF_MMDET])
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope=SCOPE, locations=['mmgcvit.datasets.imagenet_v2'])
TASK_UTILS = Registry('task util', parent=MMENGINE_TASK_UTILS, scope=SCOPE, locations=OF_MMDET)
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope=SCOPE,
    locations=['mmgcvit.datasets.checks.loading', *OF_MMDET],
)
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope=SCOPE,
    locations=[
        *OF_MMDET,
        'mmgcvit.experiments.rehearsal',
        'mmgcvit.engine.saving',
        'mmgcvit.engine.early_end',
        'mmgcvit.engine.exact_resume',
        'mmgcvit.engine.finite',
        'mmgcvit.engine.precision',
    ],
)
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope=SCOPE, locations=['mmgcvit.engine.loops'])
OPTIM_WRAPPERS = Registry(
    'optim_wrapper', parent=MMENGINE_OPTIM_WRAPPERS, scope=SCOPE, locations=['mmgcvit.engine.precision']
)
FUNCTIONS = Registry('function', parent=MMENGINE_FUNCTIONS, scope=SCOPE, locations=['mmgcvit.engine.sharding'])
STRATEGIES = Registry('strategy', parent=MMENGINE_STRATEGIES, scope=SCOPE, locations=['mmgcvit.engine.sharding'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope=SCOPE,
    locations=OF_MMPRETRAIN,
)
