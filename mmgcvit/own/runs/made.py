"""What a training on folders of data makes: the name of its run, and the folder ``made`` in its work
dir, which has the config, annotations and maps. Later trainings have ``made2``, ...
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...host.files import create_numbered, make_absolute, make_portable_path
from ...runs.folder import RunFolder

if TYPE_CHECKING:
    from mmengine.config import Config

MADE_FOLDER = 'made'
# ``made``, ``made2``, ...
MADE_NAME = re.compile(rf'{MADE_FOLDER}\d*')
# A variable of the config of a run on a folder of data: the folder of the data, and the options of
# the run, also those by default.
STARTED_WITH = 'started_with'
# Its key for the weights from which the run starts.
START = 'start'
# Its key for the number of training images with labels that a model made and nobody has corrected.
NUM_UNCORRECTED = 'uncorrected_images'
MAX_NAME_BYTES = 100  # of a work dir that is called like several folders


def choose_run_name(data: Sequence[str | Path]) -> str:
    """Return the name of the config and, by default, of the work dir of a training on folders.

    It has the names of all folders or, if this is too long for a file, of the first one.
    """
    names = [re.sub(r'\W+', '_', make_absolute(folder).name).strip('_') for folder in data]
    joined = '_'.join(filter(None, names))
    if len(data) > 1 and len(joined.encode()) > MAX_NAME_BYTES:
        joined = f'{names[0]}_and_{len(data) - 1}_more'
    return joined or 'own_data'


def choose_work_dir(data: Sequence[str | Path], work_dir: str | Path | None) -> Path:
    """Return the work dir of a training on folders, by default ``work_dirs/NAME``."""
    return Path(make_portable_path(work_dir or f'work_dirs/{choose_run_name(data)}'))


def create_made(run: RunFolder) -> Path:
    """Create the folder for the files that a training writes before it starts."""
    return create_numbered(run.path / MADE_FOLDER)


def get_started_with(cfg: 'Config') -> Mapping[str, Any]:
    """Return what a run on a folder of data has stored in its config about its start, or an empty
    mapping.
    """
    return cfg.get(STARTED_WITH) or {}
