"""A resumed run ends in the same state as an uninterrupted one, bit for bit, wherever it is
interrupted. At a signal, a run saves one checkpoint on all ranks and ends with exit code 143.
"""

import os
import signal
import subprocess
import sys
import time
from itertools import cycle, product
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from mmgcvit.engine import interrupts
from mmgcvit.engine.hooks import exact_resume
from mmgcvit.engine.hooks.exact_resume import (
    ExactResumeHook,
    is_validation_missing,
)
from mmgcvit.engine.loops import EpochBasedTrainLoop
from mmgcvit.engine.ranks import CPU_MODEL_WRAPPER
from mmgcvit.errors import UserError
from mmgcvit.runs.folder import RunFolder

from ... import programs
from ...fork_server import run_on_ranks
from ...tools.commands import train as train_task
from ...toy import names
from ..random_training import (
    EPOCHS,
    IMAGES,
    ITERATIONS,
    RandomImages,
    SignalHook,
    assert_same,
    make_config,
    read_last_state,
    run,
)

SEEDED = {'randomness': {'seed': 5, 'diff_rank_seed': True}}


def resume_config(work_dir, **options):
    assert (work_dir / 'last_checkpoint').is_file()
    return make_config(work_dir, resume=True, **options)


def train_whole_and_resumed(folder, hook, workers=(0, 0), **options):
    """Train once without interruption, and once until a hook's signal and from there.

    Compare the results.
    """
    whole = folder / 'whole'
    resumed = folder / 'resumed'
    options = SEEDED | options
    run(make_config(whole, **options))
    assert run(make_config(resumed, **options, workers=workers[0]), hook) == signal.SIGINT
    run(resume_config(resumed, **options, workers=workers[1]))
    assert_same(read_last_state(resumed), read_last_state(whole))
    assert names(resumed) == names(whole)


@pytest.mark.slow
@settings(max_examples=15)
@given(
    loop=st.sampled_from([EPOCHS, ITERATIONS]),
    is_infinite=st.booleans(),
    stop=st.integers(1, 10),
    accumulated=st.sampled_from([1, 2]),
    workers=st.tuples(st.sampled_from([0, 0, 0, 2, -1]), st.sampled_from([0, 0, 0, 1, -2])),
    saves=st.sampled_from([1, 7, None]),
)
def test_a_resumed_run_ends_in_the_state_of_an_uninterrupted_one(
    loop, is_infinite, stop, accumulated, workers, saves, tmp_path_factory
):
    """This holds for any iteration and any number of dataloader workers, which persist if it is
    negative, and for a run that saves each iteration, rarely, or each epoch.
    """
    options = {'loop': loop, 'accumulated': accumulated, 'saves': saves}
    if loop is ITERATIONS and is_infinite:
        options['sampler'] = 'InfiniteSampler'
    # A step that is accumulated needs the workers to end.
    hook = SignalHook(stop, moment='dead workers' if accumulated == 1 else 'iteration')
    train_whole_and_resumed(tmp_path_factory.mktemp('runs'), hook, workers, **options)


def test_without_a_configured_seed_a_resumed_run_keeps_the_first_seed(tmp_path, monkeypatch):
    """mmengine draws the same seed for both first starts, and another one for the resumed run."""
    for loop in (EPOCHS, ITERATIONS):
        seeds = iter([7, 7, 8])
        monkeypatch.setattr(
            'mmengine.runner.utils.sync_random_seed', lambda seeds=seeds: next(seeds)
        )
        folder = tmp_path / loop['type']
        randomness = {'seed': None}
        train_whole_and_resumed(folder, SignalHook(6), loop=loop, randomness=randomness)


def test_a_checkpoint_loads_with_weights_only_and_a_resumed_run_continues_data_and_log(
    tmp_path, monkeypatch
):
    """Batches have 3 images. The run is resumed before the last two of the second epoch."""
    schedule = [{'type': 'OneCycleLR', 'eta_max': 0.1, 'by_epoch': False, 'total_steps': 12}]
    options = {'loop': EPOCHS, 'param_scheduler': schedule, **SEEDED}
    run(make_config(tmp_path, **options), SignalHook(6))
    content = torch.load((tmp_path / 'last_checkpoint').read_text(), weights_only=True)
    losses = content['message_hub']['log_scalars']['train/loss']
    assert len(losses['history']) == len(losses['counts']) == 6
    assert 'anneal_func' not in content['param_schedulers'][0], "mmengine's function"
    monkeypatch.setattr(exact_resume, 'MAX_HISTORY', 8)
    load = mock.Mock(wraps=RandomImages.__getitem__)
    monkeypatch.setattr(RandomImages, '__getitem__', lambda *arguments: load(*arguments))
    run(resume_config(tmp_path, **options))
    assert load.call_count == 2 + 3 + IMAGES, 'no trained image is loaded'
    history, _ = MessageHub.get_current_instance().get_scalar('train/loss').data
    assert history[:2].tolist() == losses['history'].tolist()[-2:]
    assert len(history) == 8


@pytest.mark.parametrize(
    'loader', [{'batch_size': None}, {'sampler': None}, DataLoader(RandomImages())]
)
def test_a_dataloader_that_cannot_resume_within_an_epoch_is_rejected(loader, tmp_path):
    """One that is built is rejected too."""
    cfg = make_config(tmp_path, loop=EPOCHS)
    if isinstance(loader, dict):
        loader = cfg.train_dataloader | loader
    with pytest.raises(UserError, match='is not a dict with a batch_size and a sampler, so'):
        EpochBasedTrainLoop(None, loader, max_epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('task', 'lora_rank'),
    [
        ('classify', 0),
        ('classify', 2),
        pytest.param('segment', 0, marks=pytest.mark.long),
        pytest.param('detect', 0, marks=pytest.mark.long),
        pytest.param('detect', 2, marks=pytest.mark.long),
    ],
)
def test_a_real_model_of_each_task_resumes_exactly(task, lora_rank, digits, tmp_path):
    """Each has its own augmentation, drop path and LR schedule, and two dataloader workers."""
    length = 'max_iters' if task == 'segment' else 'max_epochs'
    options = ['--cfg-options', 'randomness.seed=0', 'train_dataloader.num_workers=2']
    options += [f'model.backbone.lora_rank={lora_rank}']
    options += ['default_hooks.checkpoint.interval=1']
    whole = tmp_path / 'whole'
    resumed = tmp_path / 'resumed'
    train_task(digits, task, whole, *options, f'train_cfg.{length}=2')
    train_task(digits, task, resumed, *options, f'train_cfg.{length}=1')
    train_task(digits, task, resumed, '--resume', *options, f'train_cfg.{length}=2')
    parts = ['state_dict', 'optimizer']
    assert_same(read_last_state(resumed, parts), read_last_state(whole, parts))


@DATASETS.register_module()
class StuckImages(RandomImages):
    """Images, none of which is loaded after a signal."""

    number = None  # of the signal

    def __getitem__(self, index):
        if self.number is not None:
            os.kill(os.getpid(), self.number)
            time.sleep(60)
        return super().__getitem__(index)


def preempt_everywhere(folder, loop):
    """Send signals at each iteration and moment, to one rank or all. Compare the resumed runs with
    an uninterrupted one.
    """
    interrupts.MAX_DATA_WAIT = 1
    options = {'loop': loop, **SEEDED}
    if get_world_size() > 1:
        options |= {'launcher': 'pytorch', 'model_wrapper_cfg': CPU_MODEL_WRAPPER}

    def train(name, *hooks, **more):
        cfg = make_config(Path(folder, name), **options, **more)
        cfg.default_hooks.checkpoint.update(interval=100)
        cfg.train_dataloader.dataset.type = 'StuckImages'
        number = run(cfg, *hooks)
        barrier()  # until rank 0 has saved
        return number

    train('whole')
    whole = read_last_state(Path(folder, 'whole'))
    moments = product(range(1, 6), ('iteration', 'end', 'wait'))
    receivers = cycle([(0,), (0, 1), (1,), (0, 1)])  # ranks of two
    for (iteration, moment), ranks in zip(moments, receivers, strict=False):
        name = f'{iteration}-{moment}'
        number = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)[iteration % 3]
        is_receiver = get_world_size() == 1 or get_rank() in ranks
        hooks = [SignalHook(iteration, number, moment)] if is_receiver else []
        assert train(name, *hooks) == signal.SIGTERM
        (saved,) = Path(folder, name).glob('*.pth')
        assert saved.name == f'iter_{iteration}.pth'
        barrier()
        assert train(name, resume=True) is None
        assert_same(read_last_state(Path(folder, name)), whole)


@pytest.mark.slow
@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS])
def test_a_run_that_gets_a_signal_at_any_moment_saves_once_and_resumes_exactly(loop, tmp_path):
    """It waits no longer for data."""
    with mock.patch.object(interrupts, 'MAX_DATA_WAIT'):
        preempt_everywhere(tmp_path, loop)


@pytest.mark.slow
@pytest.mark.parametrize('loop', [EPOCHS, pytest.param(ITERATIONS, marks=pytest.mark.long)])
def test_two_ranks_stop_together_wherever_one_or_both_get_a_signal(loop, tmp_path):
    run_on_ranks(preempt_everywhere, [(str(tmp_path), loop)] * 2)


def test_a_checkpoint_is_saved_by_time_and_the_next_one_replaces_it(tmp_path):
    """Also before a validation. With one kept, the last of them and of the others is left."""
    cfg = make_config(tmp_path, EPOCHS, saves=None)
    cfg.default_hooks.checkpoint.update(time_interval=0)
    seen = []

    class FilesHook(Hook):
        def before_train_iter(self, runner, **_):
            seen.append(sorted(path.name for path in tmp_path.glob('*.pth')))

    run(cfg, FilesHook())
    assert seen[:4] == [[], ['iter_1.pth'], ['iter_2.pth'], ['iter_3.pth']]
    assert seen[4:6] == [['epoch_1.pth'], ['epoch_1.pth', 'iter_5.pth']]
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']


INTERRUPTED = """
import sys
from mmengine.registry import HOOKS
from mmgcvit.engine.train import train
from tests.engine.random_training import EPOCHS, SignalHook, make_config

cfg = make_config(sys.argv[1], EPOCHS, workers=2)
HOOKS.register_module(module=SignalHook)
cfg.custom_hooks = [{'type': 'SignalHook', 'iteration': 2}]
try:
    train(cfg)
except KeyboardInterrupt:
    print('interrupted')
"""


@pytest.mark.slow
def test_an_interrupted_training_ends_without_an_error_about_its_data_workers(tmp_path):
    """Wherever Python is, torch raises one for a worker that has ended, until it is waited for."""
    ended = programs.run([sys.executable, '-c', INTERRUPTED, tmp_path])
    assert 'interrupted' in ended.stdout
    assert (ended.returncode, 'Traceback' in ended.stderr) == (0, False)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_a_process_group_that_gets_a_signal_keeps_its_data_workers(number, tmp_path):
    """They end with their parent process."""
    reader, writer = os.pipe()
    questions, asker = os.pipe()
    worker = os.fork()
    if worker == 0:
        interrupts.start_worker(None, 0)
        os.write(writer, b'.')
        while True:
            os.write(writer, os.read(questions, 1))
    os.close(writer)
    os.read(reader, 1)
    sender = 'import os, sys; os.kill(*map(int, sys.argv[1:]))'
    subprocess.run([sys.executable, '-c', sender, str(worker), str(int(number))], check=True)
    os.write(asker, b'?')
    assert os.read(reader, 1) == b'?', 'the worker has ended'
    ended = (0, 0)
    while ended == (0, 0):  # a SIGTERM is lost while the worker has not taken the one before
        os.kill(worker, signal.SIGTERM)
        ended = os.waitpid(worker, os.WNOHANG)
    assert ended == (worker, 0)


@pytest.mark.parametrize(
    ('window', 'is_limited'), [(10, True), ('epoch', False), ('global', False)]
)
def test_the_log_is_kept_whole_where_an_average_needs_it(window, is_limited):
    history = HistoryBuffer()
    whole = history.max_length
    runner = mock.Mock()
    runner.log_processor.custom_cfg = [{'data_src': 'loss', 'window_size': window}]
    runner.message_hub.log_scalars = {'train/loss': history}
    ExactResumeHook().after_train_iter(runner)
    assert history.max_length == (exact_resume.MAX_HISTORY if is_limited else whole)


@pytest.mark.parametrize('is_training', [True, False])
def test_only_validations_of_a_training_are_noted(is_training, tmp_path):
    hook = ExactResumeHook()
    hook.is_training = is_training
    hook.after_val_epoch(mock.Mock(work_dir=str(tmp_path), epoch=1))
    assert RunFolder(tmp_path).is_validated('epoch 1') == is_training


@pytest.mark.parametrize('noted', ['checkpoint', 'run', None])
def test_the_folder_of_the_checkpoint_notes_which_validation_is_complete(noted, tmp_path):
    """The resumed run may go on in another folder."""
    for name in ('checkpoint', 'run'):
        (tmp_path / name).mkdir()
    if noted:
        RunFolder(tmp_path / noted).write_validated('epoch 1')
    load_from = str(tmp_path / 'checkpoint' / 'epoch_1.pth')
    runner = mock.Mock(
        cfg=Config({'resume': True, 'load_from': load_from}),
        work_dir=str(tmp_path / 'run'),
        train_loop=mock.Mock(val_begin=1, dynamic_milestones=[0], dynamic_intervals=[1]),
        epoch=1,
        max_epochs=3,
    )
    assert is_validation_missing(runner) == (noted != 'checkpoint')
