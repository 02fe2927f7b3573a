"""Find the model of ``train --data --start``: the checkpoint, and its network's size if it is
known.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...checkpoints.grids import SETTINGS
from ...checkpoints.licences import find_limit, find_limit_of_model
from ...checkpoints.safe_loading import get_dict, read_for_mmengine
from ...errors import CheckpointError, UserError
from ...host.config import CONFIGS, read_config
from ...host.files import expand_user, is_url, make_absolute
from ...runs.folder import RunFolder
from ..runs.made import get_started_with
from .templates import Template


@dataclass(frozen=True)
class Start:
    """The model that a training starts from."""

    checkpoint: str  # an absolute path or a URL
    size: str | None  # the option ``--size`` of its training, or None if it is not known
    limit: str | None = None  # what limits the use of its weights


def find_start(source: str, template: Template) -> Start:
    """Return the model that ``--start`` names: a checkpoint, or the best or newest one of a run.

    The config of a run is executed. Beside a checkpoint, nothing is: its file says what is known of
    its network.

    Raise a UserError if there is none, or if a run of ``train --data`` had another task than the
    ``template``.
    """
    if is_url(source):
        return Start(source, None, find_limit(source))
    path = make_absolute(expand_user(source))
    if path.is_dir():
        run = RunFolder(path)
        size = read_size_of_run(run, source, template)
        best = run.read_best_checkpoint()
        limit = find_limit_of_model(best.source, best.content['meta'])
        source = str(make_absolute(best.source))
        return Start(source, size, limit)
    if not path.is_file():
        raise UserError(
            f'--start {source}: there is no such run or checkpoint. Expected the work dir of a '
            'run, a checkpoint or a URL'
        )
    content = read_for_mmengine(str(path), is_resumed=False).content
    limit = find_limit_of_model(str(path), content['meta'])
    size = find_size_of_checkpoint(content, template)
    return Start(str(path), size, limit)


def find_limit_of_pretrained(weights: str | None) -> str | None:
    """Return what limits the use of the weights of ``--pretrained``, a file, a URL or None: by their
    name, or by what a file says of the training that it is from.
    """
    if weights is None:
        return None
    path = Path(weights)
    if is_url(weights) or not path.is_file():
        return find_limit(weights)
    try:
        content = read_for_mmengine(weights, is_resumed=False).content
    except CheckpointError:  # The training says what is wrong with the file.
        return find_limit(weights)
    return find_limit_of_model(weights, content['meta'])


def read_size_of_run(run: RunFolder, source: str, template: Template) -> str | None:
    """Return the network's size of a run of ``train --data``, or None for another run.

    Raise a UserError if it had another task than the ``template``.
    """
    task = get_started_with(run.config).get('task')
    if task not in (None, template.option):
        raise UserError(
            f'--start {source}: its --task was {task}, and this training has --task '
            f'{template.option}. Start from a run of the same task, or take only its backbone: '
            '--pretrained CHECKPOINT'
        )
    return get_started_with(run.config).get('size')


def find_size_of_checkpoint(content: Mapping[str, Any], template: Template) -> str | None:
    """Return the size whose backbone is that in the settings with which a checkpoint was trained.

    Return None if it has no settings, or those of a backbone that the ``template`` does not have.
    """
    settings = get_dict(get_dict(content, 'meta'), SETTINGS)
    backbone = get_dict(get_dict(settings, 'model'), 'backbone')
    for size, config in template.networks.items():
        expected = read_config(CONFIGS / config).model.backbone
        arch = json.loads(json.dumps(expected.arch))  # in types of JSON, as in the checkpoint
        if (backbone.get('type'), backbone.get('arch')) == (expected.type, arch):
            return size
    return None
