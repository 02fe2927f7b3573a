"""Stop a training when its best score has not improved for some validations."""

import re
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import UserError
from ...registry import HOOKS
from ..loops import get_length
from .exact_resume import is_validation_due

# In the checkpoints' message_hub: the epochs or iterations of the validations since the best score.
VALIDATED = 'validated_since_best'


@HOOKS.register_module()
class PatienceHook(Hook):
    """Stop training after ``patience`` validations in a row without a better score.

    The score is the one by which mmengine's CheckpointHook chooses the best checkpoint; if it chooses by several
    metrics, each of them counts. mmengine's EarlyStoppingHook counts anew in a resumed run. This hook instead reads
    from the best checkpoint's name, which each checkpoint stores, when the score has last improved.
    """

    # Run after CheckpointHook, and after the hook that makes up for an interrupted validation.
    priority = 'LOWEST'

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.start: int | None = None  # the epoch or iteration at which this process begins to train

    def before_train(self, runner: Runner) -> None:
        if not any(getattr(hook, 'save_best', None) for hook in runner.hooks) or runner.val_loop is None:
            raise UserError(
                '--patience compares the scores of validations. Set default_hooks.checkpoint.save_best (for example '
                "to 'auto'), val_dataloader, val_evaluator and val_cfg in the config, or remove --patience"
            )
        # The checkpoint of a resumed run was saved before the validation at its position.
        self.count(runner, get_length(runner)[1] > 0 and is_validation_due(runner))

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        self.count(runner, True)

    def count(self, runner: Runner, is_validated: bool) -> None:
        """Stop the training loop if the last ``patience`` validations have not improved the best score."""
        unit, done, _ = get_length(runner)
        self.start = done if self.start is None else self.start
        infos = runner.message_hub.runtime_info
        names = [str(value) for name, value in infos.items() if name.startswith('best_ckpt')]
        positions = [found.groups() for name in names if (found := re.search(r'_(epoch|iter)_(\d+)\.pth$', name))]
        # CheckpointHook may count iterations where the loop counts epochs.
        lengths = {'epoch': 1, 'iter': len(runner.train_dataloader) if unit == 'epoch' else 1}
        # Without a best checkpoint, for example in a work dir that was moved, count from the start of this process.
        best = max((int(number) // lengths[name] for name, number in positions), default=self.start)
        # Checkpoints store where the run was validated, since val_interval may change when it is resumed. A run that
        # started without this hook has been validated at this interval.
        interval = runner.train_loop.val_interval
        earlier = infos.get(VALIDATED, range(best + interval, self.start + 1, interval))
        since_best = sorted({position for position in [*earlier, *[done] * is_validated] if best < position <= done})
        runner.message_hub.update_info(VALIDATED, since_best)
        if len(since_best) >= self.patience:
            runner.logger.warning(
                f'the training stops after {unit} {done}: the best score is of {unit} {best}, and {len(since_best)} '
                'validations have not improved it (--patience)'
            )
            runner.train_loop.stop_training = True
