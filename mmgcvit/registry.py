"""Registries, children of mmengine's. Importing this module checks the versions of torch, mmengine and mmcv.

mmengine, mmdet, mmseg and mmpretrain find ``dict(type='mmgcvit.GCViT', ...)`` in their own scopes: mmengine imports the
``registry`` module of the named package, and a registry imports its locations.
"""

from importlib import import_module
from importlib.util import find_spec

from .errors import UserError

MINIMUM_VERSIONS = {'torch': '2.1.0', 'mmengine': '0.10.0', 'mmcv': '2.0.0'}


class HostsError(UserError, ImportError):
    """torch or an OpenMMLab package is missing, or older than this package needs."""


def check_hosts() -> None:
    """Raise a HostsError if one of :data:`MINIMUM_VERSIONS` is missing or too old."""
    from packaging.version import Version

    for name, minimum in MINIMUM_VERSIONS.items():
        try:
            found = import_module(name).__version__
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise HostsError(
                f"mmgcvit needs {name} {minimum} or later, which is missing: pip install 'mmgcvit[hosts]', or see "
                'docs/installation.md'
            ) from error
        if Version(found) < Version(minimum):
            raise HostsError(f'mmgcvit needs {name} {minimum} or later; installed is {found}')


check_hosts()

from mmengine import registry as mmengine  # noqa: E402  (after the check)
from mmengine.registry import Registry  # noqa: E402

SCOPE = 'mmgcvit'
OF_MMDET = ['mmgcvit.detection'] if find_spec('mmdet') else []
OF_MMPRETRAIN = ['mmgcvit.engine.layer_decay'] if find_spec('mmpretrain') else []


def child_of(parent: Registry, *locations: str) -> Registry:
    """Create a child registry, which imports its locations at the first lookup."""
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=[*locations])


NETWORKS = ('mmgcvit.models.gcvit', 'mmgcvit.models.lsa')
MODELS = child_of(mmengine.MODELS, *NETWORKS, *OF_MMDET)
DATASETS = child_of(mmengine.DATASETS, 'mmgcvit.datasets.imagenet_v2')
TASK_UTILS = child_of(mmengine.TASK_UTILS, *OF_MMDET)
TRANSFORMS = child_of(mmengine.TRANSFORMS, 'mmgcvit.datasets.checks.loading', *OF_MMDET)
HOOKS = child_of(
    mmengine.HOOKS,
    *OF_MMDET,
    'mmgcvit.checkpoints.safe_loading',
    'mmgcvit.visualization.val_images',
    'mmgcvit.engine.hooks.async_loss_log',
    'mmgcvit.engine.hooks.checkpoint',
    'mmgcvit.engine.hooks.preemption',
    'mmgcvit.engine.hooks.exact_resume',
    'mmgcvit.engine.hooks.skip_nonfinite',
    'mmgcvit.engine.precision',
)
LOOPS = child_of(mmengine.LOOPS, 'mmgcvit.engine.loops')
OPTIM_WRAPPERS = child_of(mmengine.OPTIM_WRAPPERS, 'mmgcvit.engine.precision')
OPTIM_WRAPPER_CONSTRUCTORS = child_of(mmengine.OPTIM_WRAPPER_CONSTRUCTORS, 'mmgcvit.engine.optim', *OF_MMPRETRAIN)


def networks() -> dict[str, type]:
    """Return the registered models by name, this package's networks first."""
    for module in NETWORKS:
        import_module(module)
    order = {name: (not kind.__module__.startswith(NETWORKS), name) for name, kind in MODELS.module_dict.items()}
    return {name: MODELS.module_dict[name] for name in sorted(order, key=order.get)}
