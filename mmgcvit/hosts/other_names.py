"""Names of modules that are others now: of this package in earlier versions, and of mmseg."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

# To be removed in the version after 1.0.
MOVED = {
    'ablation_runs': 'experiments.ablations',
    'ablations': 'models.rivals',
    'browsing': 'visualization.browsing',
    'cli': 'commands',
    'data_checks': 'datasets.checks',
    'detection': 'hosts.mmdet',
    'doors': 'integrations',
    'dry_run': 'experiments.rehearsal',
    'gcvit': 'models.gcvit',
    'hosts.registry': 'registry',
    'layers': 'models.layers',
    'lsa': 'models.lsa',
    'measuring': 'experiments.measuring',
    'mistakes': 'visualization.mistakes',
    'operators': 'hosts.operators',
    'pretrained': 'models.base',
    'pyramid': 'models.base',
    'requirements': 'registry',
    'run_logs': 'visualization.curves',
    'speed': 'experiments.speed',
}


class ModuleMovedError(ModuleNotFoundError):
    """What importing a module by an earlier version's path raises: one line with the new path."""


class MovedModules:
    """Last in ``sys.meta_path``: asked for modules of this package that nothing else has found."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        package, _, rest = name.partition('.')
        new = MOVED.get(rest) or MOVED.get(rest.partition('.')[0])
        if package == 'mmgcvit' and new:
            raise ModuleMovedError(f'{name} has moved: import mmgcvit.{new}', name=name)


class Mmsegmentation:
    """Last in ``sys.meta_path``: says where mmseg is, whichever distribution it is of, to who looks for mmsegmentation.

    So mmengine does for ``_base_ = 'mmseg::...'``: for a distribution of that name, which the maintained fork is not,
    then for a module. To be removed once mmengine looks for mmseg.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        found = find_spec('mmseg') if name == 'mmsegmentation' else None
        # Without a loader it can be found, and not be imported a second time.
        return found and ModuleSpec(name, None, origin=found.origin)


def answer_other_names() -> None:
    """Have earlier paths, and mmseg's other name, answered from now on."""
    sys.meta_path.extend([MovedModules, Mmsegmentation])


def moved_in(error: BaseException | None) -> ModuleMovedError | None:
    """The import of an earlier path because of which an error was raised."""
    while error is not None and not isinstance(error, ModuleMovedError):
        error = error.__cause__ or error.__context__
    return error
