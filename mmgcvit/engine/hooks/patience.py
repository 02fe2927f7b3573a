"""Stop a training when its best score has not improved."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import UserError
from ...registry import HOOKS
from ..loop_progress import get_progress
from .exact_resume import is_validation_due

PATIENCE = 'patience'  # key of the count of validations in mmengine's message hub


@HOOKS.register_module()
class PatienceHook(Hook):
    """Stop training after ``patience`` validations in a row without a better score.

    The score is that of the best checkpoint; if there are several, each of them counts. An equal
    score is not better, though a checkpoint with it replaces the best one. Unlike mmengine's
    EarlyStoppingHook, this hook does not restart its count in a resumed run, even with another
    ``val_interval``.
    """

    # Run after CheckpointHook, and after the hook that reruns an interrupted validation.
    priority = 'LOWEST'

    def __init__(self, patience: int):
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        has_score = any(getattr(hook, 'save_best', None) for hook in runner.hooks)
        if not has_score or not runner.val_loop:
            raise UserError(
                'patience needs a validation (with objects, or images of several classes) and '
                'default_hooks.checkpoint.save_best. Set them, or no patience',
                arguments=['patience'],
            )
        # The checkpoint of a resumed run was saved before the validation at its position, which
        # need not be repeated.
        if is_validation_due(runner):
            self.after_val_epoch(runner)

    def after_val_epoch(self, runner: Runner, **kwargs: Any) -> None:
        """Count the validation at this position, once, in the message hub, so in checkpoints."""
        info = runner.message_hub.runtime_info
        progress = get_progress(runner)
        done = progress.done
        state = info.get(PATIENCE, {'position': 0, 'scores': [], 'count': 0})
        count = state['count']
        if state['position'] != done:
            scores = [info[name] for name in sorted(info) if name.startswith('best_score')]
            # There is none before the first score.
            count = count + 1 if scores == state['scores'] else 0
            runner.message_hub.update_info(
                PATIENCE, {'position': done, 'scores': scores, 'count': count}
            )
        if count >= self.patience:
            runner.logger.warning(
                f'the training stops after {progress.unit} {done}: {count} validations have not '
                'improved the best score (patience)'
            )
            runner.train_loop.stop_training = True
