"""A training that comes to its end says what there is of it, how long it took, and what to call next."""

import re
import shlex
from types import SimpleNamespace

import pytest
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmgcvit.datasets.checks.loading import LoadReadable
from mmgcvit.engine.conclusion import ConclusionHook, commands, damaged_images, in_words
from mmgcvit.engine.early_end import EndEarlyHook
from mmgcvit.errors import UserError
from mmgcvit.inference.sources import find_checkpoint

from .drawing import config, validating

EPOCHS, ITERATIONS = {'by_epoch': True, 'max_epochs': 3}, {'by_epoch': False, 'max_iters': 4, 'val_interval': 2}


class Falling(BaseMetric):
    """Worse every time: the first validation is the best."""

    def __init__(self):
        super().__init__()
        self.score = 0.75

    def process(self, data_batch, data_samples):
        self.results += [0]

    def compute_metrics(self, results):
        self.score /= 2
        return {'toy/mAP': self.score}


class SpoilHook(Hook):
    """Has the losses of some iterations be infinite."""

    def __init__(self, *iterations):
        self.iterations = iterations

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for image in data_batch['inputs'] if runner.iter in self.iterations else ():
            image.fill_(float('inf'))


class WarnHook(Hook):
    """Has a scheduler warn the run in its second iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            next(hook for hook in runner.hooks if isinstance(hook, EndEarlyHook)).warned_by = 15


def concluded(work_dir, loop, *hooks, ends_with=None, **options):
    """What the log of a run has from the word ``finished`` on, by lines; None where it says none."""
    cfg = config(work_dir, loop, log_level='INFO', **options)
    cfg.default_hooks.update({name: {'type': f'mmgcvit.{name}'} for name in ('SkipNonFiniteStepHook', 'EndEarlyHook')})
    runner = Runner.from_cfg(cfg)
    for hook in (*hooks, ConclusionHook({'without an object': 5, 'under min_size': 0})):
        runner.register_hook(hook)
    if ends_with is None:
        runner.train()
    else:
        with pytest.raises(ends_with):
            runner.train()
    runner.train_loop.dataloader = None
    (log,) = work_dir.glob('*/*.log')
    _, finished, lines = log.read_text().partition(' - finished: ')
    return lines.splitlines() if finished else None


def test_the_best_checkpoint_and_the_time_are_said_and_what_was_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work_dir = tmp_path / 'my run'
    took, best, left_out, *rest = concluded(work_dir, EPOCHS, SpoilHook(1), saves=None, **validating(Falling()))
    assert best == f'last checkpoint: {shlex.quote("my run/epoch_3.pth")}'
    assert re.fullmatch(r'3 of 3 epochs, [\d.]+ s each, and [\d.e-]+ s a validation', took)
    assert left_out == 'left out: 5 images without an object, 1 step not finite'
    assert rest[0] == 'next:'

    work_dir, saving = tmp_path / 'best', {'interval': 2, 'by_epoch': False, 'save_best': 'auto'}
    hooks = {'checkpoint': {'type': 'mmgcvit.WholeCheckpointHook', **saving}}
    options = {'sampler': 'InfiniteSampler', 'default_hooks': hooks, **validating(Falling())}
    took, best, *_ = concluded(work_dir, ITERATIONS, **options)
    assert best == 'best toy_mAP 0.375: best/best_toy_mAP_iter_2.pth'
    assert find_checkpoint(work_dir) == str(work_dir / 'best_toy_mAP_iter_2.pth')
    assert took.startswith('4 of 4 iterations, ')


def test_a_run_that_fails_or_is_ended_early_says_no_such_thing(tmp_path):
    assert concluded(tmp_path / 'early', EPOCHS, WarnHook(), ends_with=SystemExit) is None
    assert concluded(tmp_path / 'failed', EPOCHS, SpoilHook(0, 1, 2), ends_with=UserError) is None


def runner_of(work_dir, kind, name='epoch_1.pth', validates=True, scope='mmdet', **model):
    """A runner as far as what to call next goes by it."""
    info = {'last_ckpt': str(work_dir / name)}
    return SimpleNamespace(
        work_dir=str(work_dir),
        cfg=ConfigDict(model={'type': kind, **model}, default_scope=scope),
        val_loop=validates or None,
        message_hub=SimpleNamespace(runtime_info=info),
    )


def test_commands_can_be_copied_into_a_shell_and_are_of_this_model(tmp_path, monkeypatch):
    work_dir = tmp_path / "o'hara runs"
    work_dir.mkdir()
    (work_dir / 'epoch_1.pth').write_bytes(b'')
    (work_dir / 'epoch_2.pth').mkdir()
    for folder in (tmp_path, work_dir):
        monkeypatch.chdir(folder)
        run, onnx = ("o'hara runs", "o'hara runs/model.onnx") if folder == tmp_path else ('.', 'model.onnx')
        lines = [shlex.split(line) for line in commands(runner_of(work_dir, 'mmdet.MaskRCNN'))]
        assert lines == [
            ['next:'],
            ['mmgcvit', 'predict', run, 'YOUR_PICTURES'],
            ['mmgcvit', 'mistakes', run],
            ['mmgcvit', 'export', run, onnx],
        ]
    assert [line.split()[1] for line in commands(runner_of(work_dir, 'DINO', validates=False))[1:]] == [
        'predict',
        'publish',
    ]
    # What only scores: tasks of other hosts, and what follows objects.
    for runner in (
        runner_of(work_dir, 'TopdownPoseEstimator', scope='mmpose'),
        runner_of(work_dir, 'ByteTrack', tracker={'type': 'ByteTracker'}),
    ):
        assert commands(runner) == ['next:', '  mmgcvit test .']
    # Folders, which several processes have saved together, and checkpoints elsewhere.
    assert commands(runner_of(work_dir, 'DINO', 'epoch_2.pth')) == []
    assert commands(runner_of(work_dir, 'DINO', '../epoch_1.pth')) == []


def test_damaged_images_are_counted_once_wherever_they_are_loaded():
    one, other = (LoadReadable([], 5) for _ in range(2))
    one.damaged.add('a.jpg')
    one.damaged.add('b.jpg')
    other.damaged.add('a.jpg')

    def data_of(*transforms):
        return SimpleNamespace(pipeline=SimpleNamespace(transforms=transforms))

    wrapped = SimpleNamespace(dataset=SimpleNamespace(datasets=[data_of(one), data_of(object(), other)]))
    assert len(damaged_images(wrapped)) == 2
    assert damaged_images(data_of()) == set()


def test_times_are_in_units_that_suit_them():
    assert [in_words(seconds) for seconds in (0.0123, 4.56, 45.6, 119, 150, 9000)] == [
        '0.012 s',
        '4.6 s',
        '46 s',
        '119 s',
        '2.5 min',
        '2.5 h',
    ]
