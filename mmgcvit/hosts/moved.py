"""Module paths of earlier versions: importing one is an error of one line that names the new one.

To be removed in the version after 1.0.
"""

import sys

MOVED = {
    'ablation_runs': 'experiments',
    'ablations': 'models.rivals',
    'browsing': 'visualization.browsing',
    'cli': 'commands',
    'data_checks': 'datasets.checks',
    'detection': 'hosts.mmdet',
    'doors': 'integrations',
    'dry_run': 'experiments.rehearsal',
    'gcvit': 'models.gcvit',
    'layers': 'models.layers',
    'lsa': 'models.lsa',
    'measuring': 'experiments.measuring',
    'mistakes': 'visualization.mistakes',
    'operators': 'hosts.operators',
    'pretrained': 'models.base',
    'pyramid': 'models.base',
    'registry': 'hosts.registry',
    'requirements': 'hosts.versions',
    'run_logs': 'visualization.curves',
    'speed': 'experiments.speed',
}


class ModuleMovedError(ModuleNotFoundError):
    """What importing an old path raises."""


class MovedModules:
    """Last in ``sys.meta_path``: asked for modules of this package that nothing else has found."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        package, _, rest = name.partition('.')
        old = rest.partition('.')[0]
        if package == 'mmgcvit' and old in MOVED:
            raise ModuleMovedError(f'{name} has moved: import mmgcvit.{MOVED[old]}', name=name)


def name_moved_modules() -> None:
    """Have old paths named from now on; once a process."""
    if not any(finder is MovedModules for finder in sys.meta_path):
        sys.meta_path.append(MovedModules)


def moved_in(error: BaseException | None) -> ModuleMovedError | None:
    """The import of an old path because of which an error was raised."""
    while error is not None and not isinstance(error, ModuleMovedError):
        error = error.__cause__ or error.__context__
    return error
