"""Find the model of ``train --data --start``: the checkpoint, and the network's size if a run of
``train --data`` has trained it.
"""

from dataclasses import dataclass

from ..errors import UserError
from ..files import expand_user, is_url, make_absolute
from ..runs import RunFolder
from ..tasks import Template


@dataclass(frozen=True)
class Start:
    """The model that a training starts from."""

    checkpoint: str  # an absolute path or a URL
    size: str | None  # the option ``--size`` of the run, or None if it is not known


def find_start(source: str, template: Template) -> Start:
    """Return the model that ``--start`` names: a checkpoint, or the best or newest one of a run.

    Raise a UserError if there is none, or if a run of ``train --data`` had another task than the
    ``template``.
    """
    if is_url(source):
        return Start(source, None)
    path = make_absolute(expand_user(source))
    if path.is_dir():
        run = RunFolder(path)
        size = read_size(run, source, template)
        return Start(str(make_absolute(run.read_best_checkpoint().source)), size)
    if not path.is_file():
        raise UserError(
            f'--start {source}: there is no such run or checkpoint. Expected the work dir of a run, '
            'a checkpoint or a URL'
        )
    run = RunFolder(path.parent)
    is_in_run = len(run.list_configs()) == 1
    return Start(str(path), read_size(run, source, template) if is_in_run else None)


def read_size(run: RunFolder, source: str, template: Template) -> str | None:
    """Return the network's size of a run of ``train --data``, or None for another run.

    Raise a UserError if it had another task than the ``template``.
    """
    task = run.started_with.get('task')
    if task not in (None, template.option):
        raise UserError(
            f'--start {source}: its --task was {task}, and this training has --task '
            f'{template.option}. Start from a run of the same task, or take only its backbone: '
            '--pretrained CHECKPOINT'
        )
    return run.started_with.get('size')
