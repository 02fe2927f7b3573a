"""Stop a training when its best score has not improved for some validations."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import UserError
from ...registry import HOOKS
from ..loops import get_length
from .exact_resume import is_validation_due

# Key of mmengine's message hub, which checkpoints store.
STATE = 'patience'


@HOOKS.register_module()
class PatienceHook(Hook):
    """Stop training after ``patience`` validations in a row without a better score.

    The score is that of the best checkpoint; if there are several, each of them counts. An equal score is not better,
    though a checkpoint with it replaces the best one. Unlike mmengine's EarlyStoppingHook, this hook does not restart
    its count in a resumed run, even with another ``val_interval``.
    """

    # Run after CheckpointHook, and after the hook that reruns an interrupted validation.
    priority = 'LOWEST'

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        if not any(getattr(hook, 'save_best', None) for hook in runner.hooks) or runner.val_loop is None:
            data = 'val_dataloader (with objects, or images of several classes), val_evaluator and val_cfg'
            needed = f"default_hooks.checkpoint.save_best (for example to 'auto'), {data} in the config"
            raise UserError(f'--patience compares the scores of validations. Set {needed}, or remove --patience')
        # The checkpoint of a resumed run was saved before the validation at its position, which need not be repeated.
        self.stop_if_due(runner, is_validated=get_length(runner)[1] > 0 and is_validation_due(runner))

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        self.stop_if_due(runner, is_validated=True)

    def stop_if_due(self, runner: Runner, is_validated: bool) -> None:
        """Count the validation at this position, once. Stop if ``patience`` of them have not improved the score."""
        unit, done, _ = get_length(runner)
        infos = sorted(runner.message_hub.runtime_info.items())
        best, scores = ([v for name, v in infos if name.startswith(start)] for start in ('best_ckpt', 'best_score'))
        state = dict(infos).get(STATE, {'position': 0, 'scores': [], 'count': 0})
        if is_validated and state['position'] != done:
            # There is none before the first score. Earlier versions have not stored it.
            count = state['count'] + 1 if scores in ([], state.get('scores')) else 0
            state = {'position': done, 'scores': scores, 'count': count}
            runner.message_hub.update_info(STATE, state)
        if state['count'] >= self.patience:
            cause = f'{state["count"]} validations have not improved the best score'
            checkpoints = ' and '.join(map(str, best)) or 'none'
            runner.logger.warning(f'the training stops after {unit} {done}: {cause} ({checkpoints}) (--patience)')
            runner.train_loop.stop_training = True
