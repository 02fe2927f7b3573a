"""What a training that comes to its end says last: the best checkpoint, the time, what was left out, what to call next.

One that fails or is ended early says how to go on instead.
"""

import os
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.runner import FlexibleRunner, Runner
from torch.utils.data import Dataset

from ..datasets.checks.loading import LoadReadable
from ..datasets.checks.sources import type_name
from ..errors import counted
from ..hosts.configs import is_drawn
from .hooks.skip_nonfinite import SKIPPED_STEPS
from .progress import TO_STAY, counts_iterations

# Where mmengine's message hub has the best checkpoint and its score; of several metrics their names stand behind.
BEST, SCORE = 'best_ckpt', 'best_score'
# Models, by their types in configs, that are exported whole.
EXPORTED = ('FasterRCNN', 'MaskRCNN', 'CascadeRCNN', 'EncoderDecoder', 'ImageClassifier')


class ConclusionHook(Hook):
    """Logs a conclusion when a training has come to its end; ``training`` registers it, with the images passed over."""

    # After the last checkpoint.
    priority = 'LOWEST'

    def __init__(self, passed_over: Mapping[str, int]) -> None:
        self.passed_over = passed_over
        self.validations: list[float] = []

    def before_train(self, runner: Runner | FlexibleRunner) -> None:
        self.first, self.begin = runner.iter, time.monotonic()

    def before_val(self, runner: Runner | FlexibleRunner) -> None:
        self.begin_of_validation = time.monotonic()

    def after_val(self, runner: Runner | FlexibleRunner) -> None:
        self.validations.append(time.monotonic() - self.begin_of_validation)

    def after_train(self, runner: Runner | FlexibleRunner) -> None:
        seconds = time.monotonic() - self.begin
        # Each process has loaded other images.
        damaged = set().union(*all_gather_object(damaged_images(runner.train_dataloader.dataset)))
        if get_rank() != 0:
            return
        # What the run has not learned from.
        counts = [
            *((number, 'image', f' {why}') for why, number in self.passed_over.items()),
            (len(damaged), 'damaged image', ''),
            (runner.message_hub.runtime_info.get(SKIPPED_STEPS, 0), 'step', ' not finite'),
        ]
        words = ', '.join(f'{counted(number, what)}{behind}' for number, what, behind in counts if number)
        left_out = [f'left out: {words}'] if words else []
        said = [self.took(runner, seconds), *checkpoints(runner), *left_out, *commands(runner)]
        runner.logger.info('\n'.join(said), extra={TO_STAY: True})

    def took(self, runner: Runner | FlexibleRunner, seconds: float) -> str:
        """How long the run was, and how long a part of it took, of the part that this process has trained."""
        if counts_iterations(runner):
            unit, done, planned, length = 'iteration', runner.iter, runner.max_iters, 1
        else:
            unit, done, planned, length = 'epoch', runner.epoch, runner.max_epochs, len(runner.train_dataloader)
        words, trained = f'finished: {done} of {planned} {unit}s', runner.iter - self.first
        if trained:
            words += f', {in_words((seconds - sum(self.validations)) / trained * length)} each'
        if self.validations:
            words += f', and {in_words(sum(self.validations) / len(self.validations))} a validation'
        return words


def in_words(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, length in (('h', 3600), ('min', 60)):
        if seconds >= 2 * length:
            return f'{seconds / length:.1f} {unit}'
    return f'{seconds:.2g} s' if seconds < 10 else f'{seconds:.0f} s'


def damaged_images(dataset: Dataset) -> set[int]:
    """What stands for the images of a data set, and of those within it, that others have taken the place of."""
    found = set()
    for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if isinstance(transform, LoadReadable):
            found.update(transform.damaged.digests[: transform.damaged.count.value])
    inner = [dataset.dataset] if hasattr(dataset, 'dataset') else getattr(dataset, 'datasets', ())
    return found.union(*map(damaged_images, inner))


def checkpoints(runner: Runner | FlexibleRunner) -> Iterator[str]:
    """The best checkpoint by each metric, and its score; where there is none the last."""
    info = runner.message_hub.runtime_info
    best = [name for name in info if name.startswith(BEST)]
    for name in best:
        metric = Path(info[name]).name.removeprefix('best_').rsplit('_', 2)[0]
        yield f'best {metric} {info[name.replace(BEST, SCORE)]:.4g}: {in_shell(info[name])}'
    if not best and 'last_ckpt' in info:
        yield f'last checkpoint: {in_shell(info["last_ckpt"])}'


def commands(runner: Runner | FlexibleRunner) -> list[str]:
    """What to call next, to be copied into a shell; nothing where commands know no such checkpoint."""
    info, work_dir = runner.message_hub.runtime_info, Path(runner.work_dir)
    path = Path(next((info[name] for name in info if name.startswith((BEST, 'last_ckpt'))), ''))
    # Folders are what several processes have saved together.
    if not path.is_file() or path.parent != work_dir:
        return []
    run = in_shell(work_dir)
    if not is_drawn(runner.cfg):
        return ['next:', f'  mmgcvit test {run}'] if runner.val_loop is not None else []
    lines = [f'predict {run} YOUR_PICTURES']
    if runner.val_loop is not None:
        lines.append(f'mistakes {run}')
    is_exported = type_name(runner.cfg.model) in EXPORTED
    kind, target = ('export', 'model.onnx') if is_exported else ('publish', 'model.safetensors')
    lines.append(f'{kind} {run} {in_shell(work_dir / target)}')
    return ['next:', *(f'  mmgcvit {line}' for line in lines)]


def in_shell(path: str | Path) -> str:
    """A path as one types it in the current folder."""
    near = os.path.relpath(path)
    return shlex.quote(str(path) if near.startswith('..') else near)
