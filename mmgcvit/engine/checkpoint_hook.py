"""Checkpoints during training, of which there is a whole one at any moment."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import FlexibleRunner, Runner

from ..checkpoints.folder_lock import take_folder
from ..checkpoints.work_folder import (
    checkpoints_in,
    refuse_used,
    remove,
    remove_set_aside,
    remove_unfinished,
    set_aside,
)
from ..hosts.registry import HOOKS
from .early_end import forget_early_checkpoint
from .saving import do_in_process_0, name_as_last, save_run


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's hook, but a checkpoint is whole or not there, and an older one is removed once the new one is.

    mmengine removes first, then writes in place; killed meanwhile, it leaves a torn file or none. Here a file is
    written beside its place, with a digest (:mod:`mmgcvit.checkpoints.wholeness`), flushed to disk and renamed:
    ``epoch_N.pth``, ``best_*.pth`` and ``last_checkpoint`` alike. So the disk holds one more than ``max_keep_ckpts``
    for a while. Only files of the run's own folder are ever removed.

    A new run is refused in a folder with an earlier run's checkpoints, and any run in one in which another trains.

    Args:
        *args: As for mmengine's.
        overwrite: Start a new run there all the same. The earlier run's checkpoints are moved to ``overwritten/`` at
            its start, and removed when it has saved its first.
        **kwargs: As for mmengine's; folders are local, or mounted as such: no ``backend_args``.

    Raises:
        ValueError: Checkpoints are to go to an object store, which has no renaming.
        CheckpointError: When training starts: the folder is an earlier run's, or another training runs in it.
    """

    def __init__(self, *args: Any, overwrite: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.backend_args or self.file_client_args or '://' in str(self.out_dir):
            raise ValueError(
                f'WholeCheckpointHook writes to local folders only, not to {self.out_dir} with backend_args='
                f"{self.backend_args}; mmengine's CheckpointHook writes to object stores"
            )
        self.overwrite = overwrite
        # Epochs and iterations of the checkpoint that is being saved.
        self.counts: dict[str, int] = {}
        # What holds the folder for this run, in process 0.
        self.lock: TextIO | None = None

    @property
    def folder(self) -> Path:
        """Where checkpoints go, once training has started."""
        return Path(self.out_dir)

    def before_train(self, runner: Runner | FlexibleRunner) -> None:
        super().before_train(runner)
        do_in_process_0(lambda: self.begin_in_folder(is_new=runner.iter == 0))

    def begin_in_folder(self, is_new: bool) -> None:
        """Take the folder, put an earlier run's checkpoints aside, and remove what a killed one had begun to write."""
        self.lock = take_folder(self.folder)
        found = checkpoints_in(self.folder) if is_new else []
        if not self.overwrite:
            refuse_used(self.folder, found)
        set_aside(found, self.folder)
        remove_unfinished(self.folder)

    def after_train(self, runner: Runner | FlexibleRunner) -> None:
        """Give the folder back."""
        super().after_train(runner)
        if self.lock is not None:
            self.lock.close()

    def _save_checkpoint_with_step(self, runner: Runner | FlexibleRunner, step: int, meta: dict[str, int]) -> None:
        """Save, name it as the last, and only then remove what it replaces."""
        path = self.folder / self.filename_tmpl.format(step)
        replaced = [self.folder / self.filename_tmpl.format(old) for old in self.count_as_kept(runner, step)]
        replaced += forget_early_checkpoint(runner)
        self.last_ckpt = str(path)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        options = {'save_optimizer': self.save_optimizer, 'save_param_scheduler': self.save_param_scheduler}
        self.save(runner, path, meta, by_epoch=self.by_epoch, **options, **self.args)
        do_in_process_0(lambda: self.replace(replaced, path, Path(runner.work_dir)))

    def replace(self, old: Sequence[Path], path: Path, work_dir: Path) -> None:
        """Name a checkpoint as the last, then remove those before it that are not kept, and an earlier run's."""
        name_as_last(path, work_dir, old)
        remove_set_aside(self.folder)

    def save(self, runner: Runner | FlexibleRunner, path: Path, counts: dict[str, int], **options: Any) -> None:
        """Save what holds these counts; see :func:`save_run`."""
        self.counts = dict(counts)
        save_run(runner, path, meta=dict(counts), **options)
        self.counts = {}

    def before_save_checkpoint(self, runner: Runner | FlexibleRunner, checkpoint: dict[str, Any]) -> None:
        """Write the counts that were asked for.

        mmengine's FlexibleRunner writes others into what is saved after a validation, an epoch or an iteration too
        many. To be removed once it takes them from ``meta``, as its Runner does.
        """
        checkpoint['meta'].update(self.counts)

    def count_as_kept(self, runner: Runner | FlexibleRunner, step: int) -> list[int]:
        """Count a step among those whose checkpoints are kept; the steps that are so no more."""
        if self.max_keep_ckpts <= 0 or step in self.keep_ckpt_ids:
            return []
        steps = [*self.keep_ckpt_ids, step]
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return steps[: -self.max_keep_ckpts]

    def _save_best_checkpoint(self, runner: Runner | FlexibleRunner, metrics: Mapping[str, Any]) -> None:
        """Save what is the best by a metric, then the last once more, which names it; then remove the one before."""
        if not self.save_best:
            return
        if 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        better = [
            key
            for key, rule in zip(self.key_indicators, self.rules, strict=True)
            if self.is_better(runner, key, rule, metrics[key])
        ]
        replaced = [self.save_as_best(runner, key, metrics[key]) for key in better]
        if better and self.last_ckpt is not None:
            meta = {'epoch': runner.epoch, 'iter': runner.iter}
            self._save_checkpoint_with_step(runner, runner.epoch if self.by_epoch else runner.iter, meta)
        if is_main_process():
            for path in filter(None, replaced):
                remove(path, self.folder)

    def suffix(self, key: str) -> str:
        """What mmengine puts behind the names of what it keeps of a metric."""
        return '' if len(self.key_indicators) == 1 else f'_{key}'

    def is_better(self, runner: Runner | FlexibleRunner, key: str, rule: str, score: float | None) -> bool:
        """Whether a score is better than the best of its metric so far."""
        name = f'best_score{self.suffix(key)}'
        best = runner.message_hub.runtime_info.get(name, self.init_value_map[rule])
        # Nothing would ever be better than infinity.
        return score is not None and math.isfinite(score) and self.is_better_than[key](score, best)

    def save_as_best(self, runner: Runner | FlexibleRunner, key: str, score: float) -> Path | None:
        """Save the best checkpoint by a metric; the one that it replaces, if that has another name."""
        name = self.filename_tmpl.format(runner.epoch if self.by_epoch else runner.iter)
        path = self.folder / f'best_{key}_{name}'.replace('/', '_')
        info = f'best_ckpt{self.suffix(key)}'
        before = runner.message_hub.runtime_info.get(info)
        runner.message_hub.update_info(f'best_score{self.suffix(key)}', score)
        runner.message_hub.update_info(info, str(path))
        if self.suffix(key):
            self.best_ckpt_path_dict[key] = str(path)
        else:
            self.best_ckpt_path = str(path)
        meta = {'epoch': runner.epoch, 'iter': runner.iter}
        self.save(runner, path, meta, save_optimizer=False, save_param_scheduler=False, by_epoch=False)
        runner.logger.info(f'The best checkpoint with {score:0.4f} {key} is saved to {path.name}.')
        return Path(before) if before and Path(before).name != path.name else None
