"""Save checkpoints atomically, so that a killed run leaves no truncated checkpoint, and load them
safely.
"""

import operator
import time
from contextlib import ExitStack
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from mmengine.dist import is_main_process, master_only
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner, find_latest_checkpoint

from ...checkpoints.safe_loading import safe_checkpoint_loading
from ...datasets.checks.scores import find_unscored
from ...errors import UserError, suggest
from ...host.files import TEMPORARY_SUFFIX, write_atomically, write_text
from ...registry import HOOKS
from ...runs.folder import LAST_CHECKPOINT_FILE, RUN_FILE_NAME

ATOMIC_BACKEND = 'mmgcvit.AtomicBackend'
# Key of checkpoints, in the message hub's values, for the names of the files that are still to be
# removed
OUTDATED = 'outdated_ckpts'


class AtomicBackend(LocalBackend):
    """A local file backend that writes files atomically. Instead of removing a file, it notes its
    name in ``outdated``.
    """

    def __init__(self) -> None:
        self.outdated: set[str] = set()

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        with write_atomically(Path(filepath)) as temporary:
            temporary.write_bytes(obj)

    def remove(self, filepath: str | Path) -> None:
        """Let :meth:`AtomicCheckpointHook.remove_outdated` remove a file."""
        self.outdated.add(Path(filepath).name)


register_backend(ATOMIC_BACKEND, AtomicBackend)


def get_resumed_checkpoint(runner: Runner) -> Path | None:
    """Return the path (or URL) of the checkpoint from which a run resumes, or None if the run does
    not resume.
    """
    if not runner.cfg.get('resume'):
        return None
    # As mmengine's Runner.
    checkpoint = runner.cfg.get('load_from') or find_latest_checkpoint(runner.work_dir)
    return checkpoint and Path(checkpoint)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Save checkpoints atomically and remove outdated ones afterwards, which needs disk space for
    one more checkpoint.

    mmengine's ``CheckpointHook`` removes the oldest or the previous best checkpoint before it
    writes the new one in place. So a killed run can leave a truncated checkpoint or none. Its
    arguments are those of this hook, except ``backend_args``, because this hook writes local files
    only. Of equal scores, the later one is the best. NaN, infinity and -1, COCO's score without
    objects, are none. :func:`.find_unscored` finds data without scores.

    Args:
        time_interval: After this number of seconds without a checkpoint, a run saves
            ``iter_N.pth``. The next checkpoint replaces it. This needs a loop of this project,
            which decides when (:meth:`.ResumableLoop.save_or_stop`).
        **kwargs: Arguments of mmengine's hook.
    """

    save_best: str | list[str] | None
    rule_map: ClassVar = {'greater': operator.ge, 'less': operator.le}

    def __init__(self, time_interval: float = 1200, **kwargs: Any):
        super().__init__(backend_args={'backend': ATOMIC_BACKEND}, **kwargs)
        self.time_interval = time_interval

    def before_train(self, runner: Runner) -> None:
        if self.save_best and runner.val_loop:
            unscored = find_unscored(runner.val_dataloader.dataset)
            if unscored:
                self.save_best = None  # as PatienceHook and SummaryHook read it
                runner.logger.warning(
                    f'the validation images have {unscored}, so their scores say nothing: no '
                    'checkpoint is saved as the best one, and commands use the last one'
                )
        super().before_train(runner)
        self.note_save(0)
        resumed = get_resumed_checkpoint(runner)
        if resumed and resumed.parent.resolve() == Path(self.out_dir).resolve():
            # If the run begins with a validation and its score is the best one, mmengine updates
            # this checkpoint.
            self.last_ckpt = str(resumed)
            self.saved_iter = runner.iter
            # A killed run may not have removed them. A crafted checkpoint can name any files.
            for name in runner.message_hub.runtime_info.get(OUTDATED, ()):
                if RUN_FILE_NAME.fullmatch(Path(name).name):
                    self.file_backend.remove(name)
        self.remove_outdated(runner)
        if is_main_process():
            for temporary in Path(self.out_dir).glob(f'*.pth.*{TEMPORARY_SUFFIX}'):
                temporary.unlink()  # a killed run has left it unfinished

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Store the names of the outdated files, which may be left if the run is killed."""
        info = checkpoint['message_hub']['runtime_info']
        info[OUTDATED] = sorted(self.file_backend.outdated)

    def save_now(self, runner: Runner) -> None:
        """Save ``iter_N.pth`` between two iterations. The next checkpoint replaces it."""
        name = f'iter_{runner.iter}.pth'
        self.note_save(runner.iter)
        self.file_backend.remove(name)  # after the next checkpoint
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename=name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta={'epoch': runner.epoch, 'iter': runner.iter},
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            write_text(Path(runner.work_dir, LAST_CHECKPOINT_FILE), self.last_ckpt)
        self.remove_outdated(runner)

    def note_save(self, iteration: int) -> None:
        self.saved_iter = iteration  # the number of trained iterations in the last checkpoint
        self.saved_at = time.monotonic()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save the checkpoint if one of the scores is the best so far. Raise a UserError if
        ``save_best`` names a score that the validation does not have.
        """
        for name in self.key_indicators if self.save_best else ():
            if name not in ('auto', *metrics):
                raise UserError(
                    f'save_best={name!r}: the validation has no such score'
                    f'{suggest(name, metrics) or "."} It has {", ".join(metrics)}. Set '
                    'default_hooks.checkpoint.save_best to one of them, and resume the run'
                )
        scores = dict(metrics)
        for name, score in metrics.items():
            if isinstance(score, Real) and (score == -1 or not isfinite(score)):
                scores[name] = None
        super()._save_best_checkpoint(runner, scores)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        """Save ``epoch_N.pth`` or ``iter_N.pth``, then remove the checkpoints that are no longer
        needed.
        """
        self.note_save(meta['iter'])
        super()._save_checkpoint_with_step(runner, step, meta)
        self.remove_outdated(runner)

    @master_only
    def remove_outdated(self, runner: Runner) -> None:
        """Remove outdated checkpoints, except those that were written again since, and the last one
        until the next.
        """
        info = runner.message_hub.runtime_info
        kept = {self.filename_tmpl.format(step) for step in info.get('keep_ckpt_ids', ())}
        for key, path in info.items():
            if key.startswith('best_ckpt') and path:
                kept.add(Path(path).name)
        last = Path(self.last_ckpt or '').name
        names = self.file_backend.outdated - kept
        for name in names - {last}:
            Path(self.out_dir, name).unlink(missing_ok=True)
        self.file_backend.outdated = names & {last}


@HOOKS.register_module()
class SafeLoadHook(Hook):
    """Hook that applies :func:`safe_checkpoint_loading` to the whole run, for those that
    OpenMMLab's own scripts start.
    """

    def before_run(self, runner: Runner) -> None:
        self.context = ExitStack()
        self.context.enter_context(safe_checkpoint_loading(runner.work_dir))

    def after_run(self, runner: Runner) -> None:
        self.context.close()  # not after an error, of which mmengine tells no hook
