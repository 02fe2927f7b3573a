"""Stop a training when its best score has not improved for some validations."""

import re
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import UserError
from ...registry import HOOKS
from ..loops import get_length


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
        self.patience, self.start = patience, 0

    def before_train(self, runner: Runner) -> None:
        if not any(getattr(hook, 'save_best', None) for hook in runner.hooks) or runner.val_loop is None:
            raise UserError(
                '--patience compares the scores of validations. Set default_hooks.checkpoint.save_best (for example '
                "to 'auto'), val_dataloader, val_evaluator and val_cfg in the config, or remove --patience"
            )
        _, self.start, _ = get_length(runner)
        self.stop_if_due(runner)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        self.stop_if_due(runner)

    def stop_if_due(self, runner: Runner) -> None:
        """Stop the training loop if the last ``patience`` validations have not improved the best score."""
        unit, done, _ = get_length(runner)
        infos = runner.message_hub.runtime_info
        names = [str(value) for name, value in infos.items() if name.startswith('best_ckpt')]
        positions = [found.groups() for name in names if (found := re.search(r'_(epoch|iter)_(\d+)\.pth$', name))]
        # CheckpointHook may count iterations where the loop counts epochs.
        lengths = {'epoch': 1, 'iter': len(runner.train_dataloader) if unit == 'epoch' else 1}
        # Without a best checkpoint, for example in a work dir that was moved, count from the start of this process.
        best = max((int(number) // lengths[name] for name, number in positions), default=self.start)
        if done - best >= self.patience * runner.train_loop.val_interval:
            runner.logger.warning(
                f'the training stops after {unit} {done}: the best score is of {unit} {best}, and {self.patience} '
                'validations have not improved it (--patience)'
            )
            runner.train_loop.stop_training = True
