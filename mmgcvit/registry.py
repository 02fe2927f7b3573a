"""Child registries of mmengine's registries. Importing this module checks the versions of torch,
mmengine and mmcv.

The registries make ``dict(type='mmgcvit.GCViT', ...)`` work in the scopes of mmengine, mmdet, mmseg
and mmpretrain. For the prefix ``mmgcvit.``, mmengine imports this module. Its registries import the
modules in their ``locations``.
"""

from importlib import import_module
from typing import Any

from .ops.requirements import check_requirements

check_requirements()

from mmengine import registry as parents  # noqa: E402  (imported after the check)
from mmengine.registry import Registry  # noqa: E402


def make_registry(parent: Registry, *locations: str) -> Registry:
    """Create a child registry, which imports the modules in ``locations`` when a class is first
    looked up.
    """
    return Registry(parent.name, parent=parent, scope='mmgcvit', locations=[*locations])


NETWORKS_MODULE = 'mmgcvit.models'
# Without mmgcvit.fixes, which configs name in custom_imports: a classifier needs neither mmdet nor
# mmseg.
# The neck of small classifiers is imported only for a config that names it.
MODELS = make_registry(parents.MODELS, NETWORKS_MODULE, f'{NETWORKS_MODULE}.necks')
DATASETS = make_registry(parents.DATASETS, 'mmgcvit.datasets.dataset_classes')
METRICS = make_registry(parents.METRICS)
TASK_UTILS = make_registry(parents.TASK_UTILS)
TRANSFORMS = make_registry(
    parents.TRANSFORMS, 'mmgcvit.datasets.skip_unreadable', 'mmgcvit.datasets.tiles'
)
HOOKS = make_registry(
    parents.HOOKS,
    'mmgcvit.own.hooks',
    'mmgcvit.engine.hooks.compile_backbone',
    'mmgcvit.engine.hooks.checkpoint',
    'mmgcvit.engine.hooks.exact_resume',
    'mmgcvit.engine.hooks.skip_nonfinite',
    'mmgcvit.engine.hooks.patience',
    'mmgcvit.engine.hooks.val_loss',
)
LOOPS = make_registry(parents.LOOPS, 'mmgcvit.engine.loops', 'mmgcvit.engine.tiled_loops')
OPTIM_WRAPPERS = make_registry(parents.OPTIM_WRAPPERS, 'mmgcvit.engine.optim')
OPTIM_WRAPPER_CONSTRUCTORS = make_registry(
    parents.OPTIM_WRAPPER_CONSTRUCTORS, 'mmgcvit.engine.optim'
)


def list_networks() -> dict[str, type[Any]]:
    """Return the registered backbones of this package and their subclasses by name, with GC ViT and
    LSA first.
    """
    import_module(NETWORKS_MODULE)
    return {name: cls for name, cls in MODELS.module_dict.items() if hasattr(cls, 'key_mappings')}
