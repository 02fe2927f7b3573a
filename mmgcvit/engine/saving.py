"""Saving a run: there is a whole checkpoint at any moment, also after a kill or a power cut."""

import json
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import FlexibleRunner, Runner

from ..checkpoints.run_folder import (
    BEST,
    LAST,
    NAME,
    SET_ASIDE,
    bests_in,
    check_free,
    checkpoints_in,
    refuse_used,
    remove,
    set_aside,
    take_folder,
)
from ..errors import UserError
from ..files import UNFINISHED, write_text
from ..hosts.mmengine import do_in_process_0, do_together
from ..registry import HOOKS

# What hosts call scores, parts of the names in lower case: of which more is better, and of which less is.
GREATER = ('acc', 'top', 'ar@', 'auc', 'precision', 'map', 'mdice', 'miou')
LESS = ('loss',)
# Where a run notes the checkpoint of an early end, a file's name; the next regular one replaces it.
EARLY = 'early_checkpoint'
# Arguments of mmengine's hook that this one does not take, and what does it instead.
NOT_TAKEN = {
    'backend_args': "it writes to local folders only; mmengine's CheckpointHook writes to object stores",
    'file_client_args': "it writes to local folders only; mmengine's CheckpointHook writes to object stores",
    'filename_tmpl': '--resume knows checkpoints by their names, epoch_N.pth and iter_N.pth',
    'published_keys': "'mmgcvit publish' writes a checkpoint without what training keeps in it",
    'greater_keys': "rule='greater' says it of save_best",
    'less_keys': "rule='less' says it of save_best",
}


@HOOKS.register_module()
class WholeCheckpointHook(Hook):
    """Saves checkpoints that are whole or not there, and removes an older one only once the new one is.

    mmengine's ``CheckpointHook`` removes first, then writes in place; killed meanwhile, it leaves a torn file or none.
    Here a file is written beside its place, with a digest, flushed to disk and renamed: ``epoch_N.pth``, ``best_*.pth``
    and ``last_checkpoint`` alike. So the disk holds one more than ``max_keep_ckpts`` for a while. Only files of the
    run's own folder are ever removed.

    What a validation finds to be the best is given a second name, ``best_*.pth``, a link where the file system has
    links: nothing is written again, and a run can be resumed from it. Which are the best and their scores stands beside
    them in ``kept_as_best.json``, as checkpoints are saved before they are scored.

    A new run is refused in a folder with an earlier run's checkpoints, and any run in one in which another trains.

    Args:
        interval: Epochs or iterations from one checkpoint to the next; below 1 there is but the last.
        by_epoch: Whether epochs are counted.
        save_optimizer: Save the optimizer's state, without which a run cannot be resumed.
        save_param_scheduler: Likewise of the schedules.
        out_dir: Where a folder named as the work dir is made for them; by default they go to the work dir.
        max_keep_ckpts: How many of them are kept, all where it is below 1.
        save_last: Save at the end of training, whatever the interval.
        save_best: One metric or several, of each of which the best checkpoint is kept; ``'auto'`` is the first that a
            validation gives.
        rule: ``'greater'`` or ``'less'``, one for all or one for each; by default the metric's name tells.
        save_begin: The epoch or iteration from which on it saves.
        overwrite: Start a new run in a folder with an earlier one's checkpoints all the same. They are moved to
            ``overwritten/`` at its start, and removed when it has saved its first.
        **others: None.

    Raises:
        UserError: An argument is none; or when training starts the folder is an earlier run's, or another training runs
            in it.
    """

    priority = 'VERY_LOW'

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        out_dir: str | Path | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | Sequence[str] | None = None,
        rule: str | Sequence[str] | None = None,
        save_begin: int = 0,
        overwrite: bool = False,
        **others: Any,
    ) -> None:
        for name, value in others.items():
            if value is not None or name not in NOT_TAKEN:
                raise UserError(
                    f'WholeCheckpointHook takes no {name}: {NOT_TAKEN.get(name, "there is no such setting")}'
                )
        if '://' in str(out_dir):
            raise UserError(f'WholeCheckpointHook: out_dir={out_dir}; {NOT_TAKEN["backend_args"]}')
        self.interval, self.by_epoch, self.save_begin, self.save_last = interval, by_epoch, save_begin, save_last
        self.states = {'save_optimizer': save_optimizer, 'save_param_scheduler': save_param_scheduler}
        self.out_dir, self.max_keep_ckpts, self.overwrite = out_dir, max_keep_ckpts, overwrite
        metrics = [save_best] if isinstance(save_best, str) else list(save_best or [])
        rules = [rule] * len(metrics) if rule is None or isinstance(rule, str) else list(rule)
        if len(rules) != len(metrics) or not {*rules} <= {'greater', 'less', None}:
            raise UserError(
                f"WholeCheckpointHook: rule={rule!r}; expected 'greater' or 'less', for all or for each metric"
            )
        # 'auto' stands for the first metric until a validation has told it.
        self.rules = {
            metric: given or (None if metric == 'auto' else rule_of(metric))
            for metric, given in zip(metrics, rules, strict=True)
        }
        # The checkpoint that was saved last, and after how many iterations.
        self.newest: tuple[Path, int] | None = None
        # Epochs and iterations of the checkpoint that is being saved.
        self.counts: dict[str, int] = {}
        # What holds the folder for this run, in process 0.
        self.lock: TextIO | None = None

    def before_train(self, runner: Runner | FlexibleRunner) -> None:
        self.folder = folder_of(runner.work_dir, self.out_dir)
        runner.logger.info(f'Checkpoints will be saved to {self.folder}.')
        bests = do_in_process_0(lambda: self.begin_in_folder(is_new=runner.iter == 0))
        # 'auto' is the metric that was noted last.
        for metric in [metric for metric in bests if 'auto' in self.rules or metric in self.rules]:
            self.note_best(runner, metric, *bests[metric])

    def begin_in_folder(self, is_new: bool) -> dict[str, tuple[str, float]]:
        """Take the folder, put an earlier run's checkpoints aside, and remove what a killed one had begun to write.

        Gives what is the best in it, by metric.
        """
        self.lock = take_folder(self.folder)
        found = checkpoints_in(self.folder) if is_new else []
        if not self.overwrite:
            refuse_used(self.folder, found)
        set_aside(found, self.folder)
        for unfinished in self.folder.glob(f'*{UNFINISHED}'):
            remove(unfinished, self.folder)
        return named_bests(self.folder)

    def after_train(self, runner: Runner | FlexibleRunner) -> None:
        if self.lock is not None:
            self.lock.close()

    def after_train_iter(
        self, runner: Runner | FlexibleRunner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        is_due = not self.by_epoch and self.every_n_train_iters(runner, self.interval, self.save_begin)
        if is_due or (not self.by_epoch and self.save_last and self.is_last_train_iter(runner)):
            self.save_step(runner, {'epoch': runner.epoch, 'iter': runner.iter + 1})

    def after_train_epoch(self, runner: Runner | FlexibleRunner) -> None:
        is_due = self.by_epoch and self.every_n_epochs(runner, self.interval, self.save_begin)
        if is_due or (self.by_epoch and self.save_last and self.is_last_train_epoch(runner)):
            self.save_step(runner, {'epoch': runner.epoch + 1, 'iter': runner.iter})

    def after_val_epoch(self, runner: Runner | FlexibleRunner, metrics: Mapping[str, Any] | None = None) -> None:
        """Give what is the best by a metric its name, and only then remove the one before."""
        if not metrics or not self.rules:
            return
        if 'auto' in self.rules:
            first = next(iter(metrics))
            self.rules = {first: self.rules['auto'] or rule_of(first)}
        lacking = ', '.join(self.rules.keys() - metrics.keys())
        if lacking:
            raise UserError(f'save_best: a validation gives no {lacking}; it gives {", ".join(metrics)}')
        counts, bests, replaced = {'epoch': runner.epoch, 'iter': runner.iter}, {}, []
        better = [metric for metric in self.rules if self.is_better(runner, metric, metrics[metric])]
        for metric in self.rules:
            before = self.best_of(runner, metric)
            bests[metric] = dict([before] if before else [])
            if metric in better:
                name = f'best_{metric}_{self.name_of(counts)}'.replace('/', '_')
                replaced += {*bests[metric]} - {name}
                bests[metric][name] = score = float(metrics[metric])
                self.note_best(runner, metric, name, score)
        if better:
            # Before its files are there: of those that it names, the last that is there is the best.
            do_in_process_0(lambda: write_text(self.folder / BEST, json.dumps(bests, indent=2)))
        for metric in better:
            name, score = self.best_of(runner, metric)
            if self.newest is not None and self.newest[1] == counts['iter']:
                do_in_process_0(partial(give_second_name, self.newest[0], self.folder / name))
            else:
                self.save(runner, self.folder / name, counts)
            runner.logger.info(f'The best checkpoint with {score:0.4f} {metric} is saved to {name}.')
        if is_main_process():
            for name in replaced:
                remove(self.folder / name, self.folder)

    def is_better(self, runner: Runner | FlexibleRunner, metric: str, score: float | None) -> bool:
        """Whether a score is better than the best of its metric so far; nothing would ever be better than infinity."""
        if score is None or not math.isfinite(score):
            return False
        best = runner.message_hub.runtime_info.get(f'best_score{self.suffix(metric)}')
        return best is None or (score > best if self.rules[metric] == 'greater' else score < best)

    def best_of(self, runner: Runner | FlexibleRunner, metric: str) -> tuple[str, float] | None:
        """The name of the best checkpoint by a metric and its score, None where the folder has had none."""
        info, suffix = runner.message_hub.runtime_info, self.suffix(metric)
        path = Path(info.get(f'best_ckpt{suffix}') or '')
        return (path.name, info[f'best_score{suffix}']) if path.parent == self.folder else None

    def note_best(self, runner: Runner | FlexibleRunner, metric: str, name: str, score: float) -> None:
        """Note the best checkpoint by a metric where mmengine does."""
        runner.message_hub.update_info(f'best_score{self.suffix(metric)}', score)
        runner.message_hub.update_info(f'best_ckpt{self.suffix(metric)}', str(self.folder / name))

    def suffix(self, metric: str) -> str:
        """What mmengine puts behind the names of what it keeps of a metric."""
        return '' if len(self.rules) == 1 else f'_{metric}'

    def save_step(self, runner: Runner | FlexibleRunner, counts: dict[str, int]) -> None:
        """Save, name it as the last, and only then remove what it replaces."""
        path = self.folder / self.name_of(counts)
        replaced = forget_early_checkpoint(runner)
        if self.max_keep_ckpts > 0:
            step = counts['epoch' if self.by_epoch else 'iter']
            before = runner.message_hub.runtime_info.get('keep_ckpt_ids', [])
            steps = [*before, step] if step not in before else list(before)
            replaced += [
                self.folder / self.name_of({'epoch': old, 'iter': old}) for old in steps[: -self.max_keep_ckpts]
            ]
            runner.message_hub.update_info('keep_ckpt_ids', steps[-self.max_keep_ckpts :])
        runner.message_hub.update_info('last_ckpt', str(path))
        self.save(runner, path, counts)
        replaced.append(self.folder / SET_ASIDE)
        do_in_process_0(lambda: name_as_last(path, Path(runner.work_dir), replaced))

    def name_of(self, counts: Mapping[str, int]) -> str:
        return f'epoch_{counts["epoch"]}.pth' if self.by_epoch else f'iter_{counts["iter"]}.pth'

    def save(self, runner: Runner | FlexibleRunner, path: Path, counts: dict[str, int]) -> None:
        """Save what holds these counts; see :func:`save_run`."""
        self.counts = dict(counts)
        save_run(runner, path, meta=dict(counts), by_epoch=self.by_epoch, **self.states)
        self.counts, self.newest = {}, (path, counts['iter'])

    def before_save_checkpoint(self, runner: Runner | FlexibleRunner, checkpoint: dict[str, Any]) -> None:
        """Write the counts that were asked for.

        mmengine's FlexibleRunner writes others into what is saved after a validation: an epoch or an iteration too
        many. To be removed once it takes them from ``meta``, as its Runner does.
        """
        checkpoint['meta'].update(self.counts)


def folder_of(work_dir: str | Path, out_dir: str | Path | None) -> Path:
    """Where checkpoints go, as mmengine's hook puts them."""
    work_dir = Path(work_dir).absolute()
    return work_dir if out_dir is None or Path(out_dir) == work_dir else Path(out_dir) / work_dir.name


def hook_of(cfg: Config) -> tuple[ConfigDict, bool]:
    """What a config says of its checkpoint hook, and whether it is :class:`WholeCheckpointHook`."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or ConfigDict()
    return hook, str(hook.get('type')).endswith(WholeCheckpointHook.__name__)


def check_folder(cfg: Config) -> None:
    """Refuse before anything is built what a config's :class:`WholeCheckpointHook` refuses when training begins."""
    hook, is_ours = hook_of(cfg)
    goes_on = (cfg.get('resume') and cfg.get('load_from')) or hook.get('overwrite')
    if is_ours:
        check_free(folder_of(cfg.work_dir, hook.get('out_dir')), is_new=not goes_on)


def rule_of(metric: str) -> str:
    """Whether more or less of a metric is better, by its name."""
    for rule, parts in (('greater', GREATER), ('less', LESS)):
        if any(part in metric.lower() for part in parts):
            return rule
    raise UserError(f"save_best={metric}: its name does not tell whether more is better; set rule='greater' or 'less'")


def save_run(runner: Runner | FlexibleRunner, path: Path, **options: Any) -> None:
    """Have a runner save a checkpoint beside its place, with a digest, flushed to disk; then give it its name.

    To be called by every process; where it fails in one, it ends in all. Hooks that need all processes for what they
    save have ``before_save_in_all``. A checkpoint that is a folder, of which each process writes a share, is renamed
    when all are done, without digests.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    runner.call_hook('before_save_in_all')
    try:
        do_together(lambda: runner.save_checkpoint(str(path.parent), unfinished.name, **options))
        do_in_process_0(lambda: give_place(unfinished, path))
    except BaseException:
        if is_main_process():
            remove(unfinished, path.parent)
        raise


def give_second_name(path: Path, other: Path) -> None:
    """Have a checkpoint under another name too: by links where the file system has them, else by copies."""
    unfinished = other.with_name(other.name + UNFINISHED)
    remove(unfinished, other.parent)
    if path.is_dir():
        shutil.copytree(path, unfinished, copy_function=link_or_copy)
    else:
        link_or_copy(path, unfinished)
    give_place(unfinished, other)
    # Of two names of one file that are one already, renaming leaves both.
    remove(unfinished, other.parent)


def named_bests(folder: Path) -> dict[str, tuple[str, float]]:
    """What a run has found to be the best, perhaps after the checkpoint that it is resumed from was saved.

    One that it had noted and not named yet when it was killed gets its name.
    """
    bests = bests_in(folder)
    for name, _ in bests.values():
        if not (folder / name).exists():
            give_second_name(folder / NAME.search(name)[0], folder / name)
    return bests


def link_or_copy(path: str | Path, other: str | Path) -> None:
    """A file under another name."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)


def give_place(unfinished: Path, path: Path) -> None:
    """Give what was written beside a place the place, a file once it is on the disk."""
    if unfinished.is_dir():
        remove(path, path.parent)
    else:
        with unfinished.open('rb') as file:
            os.fsync(file.fileno())
    unfinished.replace(path)


def name_as_last(path: Path, work_dir: Path, replaced: Sequence[Path]) -> None:
    """Write down which checkpoint is a run's last, where mmengine does, and remove those that it replaces."""
    write_text(work_dir / LAST, str(path))
    for old in replaced:
        remove(old, old.parent)


def save_early(runner: Runner | FlexibleRunner) -> Path:
    """Save ``iter_N.pth`` after an iteration that is not counted yet, unless a hook has just done so; where it is."""
    path = Path(runner.work_dir) / f'iter_{runner.iter + 1}.pth'
    if Path(runner.message_hub.runtime_info.get('last_ckpt') or '').name != path.name:
        replaced = forget_early_checkpoint(runner)
        runner.message_hub.update_info(EARLY, path.name)
        save_run(runner, path, by_epoch=False)
        do_in_process_0(lambda: name_as_last(path, path.parent, replaced))
    return path


def forget_early_checkpoint(runner: Runner | FlexibleRunner) -> list[Path]:
    """The checkpoint of an early end that a new one replaces, if there is one; it is noted no more."""
    name = runner.message_hub.pop_info(EARLY, None)
    return [Path(runner.work_dir) / name] if type(name) is str and re.fullmatch(r'iter_\d+\.pth', name) else []
