"""Choose the checkpoint that a run resumes or starts from.

A training needs a work dir without checkpoints, unless it resumes from them or overwrites them.
"""

from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from ..checkpoints.safe_loading import Checkpoint, read_for_mmengine
from ..errors import CheckpointError
from ..host.files import is_url
from ..runs.folder import RunFolder


def choose_checkpoint(
    cfg: Config, resume: str | None, overwrite: bool = False
) -> Checkpoint | None:
    """Return the checkpoint that a run resumes or starts from.

    ``resume='auto'`` and a config's ``resume=True`` without ``load_from`` choose the latest
    checkpoint of the work dir. If there is none, a new training starts, so the same command starts
    and resumes a job. Raise a CheckpointError if the checkpoint cannot be read, or the run would
    replace or remove others.
    """
    load_from = cfg.get('load_from')
    run = RunFolder(Path(cfg.work_dir))
    if not overwrite:
        if resume or cfg.get('resume'):
            checkpoint = read_resumed(resume or load_from or 'auto', run)
            if checkpoint:
                return checkpoint
        run.check_unused()
    if not load_from:
        return None
    if Path(load_from).resolve() in map(Path.resolve, run.list_checkpoints()):
        raise CheckpointError(
            f'the run would remove load_from={load_from} from its work dir. Copy it to another '
            'folder'
        )
    return read_for_mmengine(load_from, run.path, is_resumed=False)


def read_resumed(source: str, run: RunFolder) -> Checkpoint | None:
    """Read the checkpoint of ``resume=source``, or None if it is ``'auto'`` and there is none."""
    if source == 'auto':
        checkpoint = run.read_latest_checkpoint(
            'Resume from another file, use another work dir, or overwrite this one'
        )
        found = 'the work dir has no checkpoint, so a new training starts'
        if checkpoint:
            found = checkpoint.source
        print_log(f'resume: {found}', 'current')
        return checkpoint
    if not is_url(source) and not Path(source).is_file():
        raise CheckpointError(
            f'resume={source}: there is no such file. Pass a path or a URL', arguments=['resume']
        )
    folder = Path(source).parent
    if run.list_checkpoints() and folder.resolve() != run.path.resolve():
        raise CheckpointError(
            f'resume={source}: the work dir {run.path} has checkpoints of another run, which the '
            f'resumed run would replace. Use the work dir {folder}, or a new one',
            arguments=['work_dir'],
        )
    return read_for_mmengine(source, run.path)
