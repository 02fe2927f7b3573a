"""A checkpoint is whole or not there, whenever a run is killed; a warned run ends with one."""

import json
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from mmgcvit.checkpoints import check_whole, newest_whole_checkpoint, save_whole
from mmgcvit.checkpoints.run_folder import bests_in, take_folder
from mmgcvit.engine.early_end import RESUME_ME
from mmgcvit.engine.saving import WholeCheckpointHook, give_second_name, named_bests, save_run
from mmgcvit.errors import UserError

from ..programs import ROOT, started
from ..tools.commands import TOOLS, environment_for
from .drawing import StoppedError, config, difference, run, validating
from .toy import CONFIG, FLEXIBLE, ITERATIONS, KILLED, SHARDED, SHARDS_HERE, last, names, start, train, train_in_two

DONE = ['best_score_epoch_3.pth', 'epoch_3.pth', 'last_checkpoint']
# In the second epoch of a run that keeps one checkpoint and the best, in the order in which they come.
MOMENTS = [
    'open epoch_2.pth.unfinished',
    'half-written epoch_2.pth.unfinished',
    'os.rename epoch_2.pth.unfinished',
    'open last_checkpoint.unfinished',
    'os.rename last_checkpoint.unfinished',
    'os.remove epoch_1.pth',
    'open kept_as_best.json.unfinished',
    'os.rename kept_as_best.json.unfinished',
    'os.link epoch_2.pth',
    'os.rename best_score_epoch_2.pth.unfinished',
    'os.remove best_score_epoch_1.pth',
]


@pytest.mark.slow
@pytest.mark.parametrize('moment', MOMENTS)
def test_killed_at_any_moment_a_run_leaves_a_whole_last_and_best_one_and_goes_on(moment, tmp_path):
    train(tmp_path, code=KILLED, DIES_AT=moment, DIES_IN='2')
    for path in tmp_path.glob('*.pth'):
        check_whole(path)
    assert Path((tmp_path / 'last_checkpoint').read_text()).is_file()
    assert newest_whole_checkpoint(tmp_path).path is not None
    is_second = moment in MOMENTS[MOMENTS.index('os.link epoch_2.pth') :]
    assert bests_in(tmp_path) == {'score': (f'best_score_epoch_{1 + is_second}.pth', 0.0 + is_second)}
    train(tmp_path, '--resume')
    assert last(tmp_path)['meta']['epoch'] == 3
    assert not list(tmp_path.glob('*.unfinished'))
    assert set(DONE) <= set(names(tmp_path))
    assert bests_in(tmp_path) == {'score': ('best_score_epoch_3.pth', 2.0)}


@pytest.mark.parametrize(
    ('run', 'settings'),
    [
        (train, []),
        (train, [*FLEXIBLE, 'strategy.type=SingleDeviceStrategy']),
        pytest.param(train_in_two, SHARDED, marks=SHARDS_HERE),
    ],
    ids=['Runner', 'FlexibleRunner', 'FSDP'],
)
def test_a_run_keeps_as_many_as_it_should_and_the_best_and_counts_epochs_as_they_are(run, settings, tmp_path):
    """mmengine's FlexibleRunner leaves saving to its strategy, and after a validation counts an epoch too many."""
    run(tmp_path, settings=settings)
    assert names(tmp_path) == DONE
    assert (last(tmp_path)['meta']['epoch'], last(tmp_path)['meta']['iter']) == (3, 3)


def test_on_a_full_disk_the_one_before_stays_and_the_reason_is_a_sentence(tmp_path):
    output = train(tmp_path, code=1, DIES_AT='disk full epoch_2.pth.unfinished')
    assert 'No space left on device: the run could not write' in output
    assert 'Traceback' not in output
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'last_checkpoint']
    assert last(tmp_path)['meta']['epoch'] == 1


def test_a_new_run_in_an_earlier_ones_folder_is_refused_or_overwrites_once_it_has_saved(tmp_path):
    for name in ('epoch_1.pth', 'best_score_epoch_1.pth'):
        (tmp_path / name).write_text("an earlier run's")
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    (tmp_path / 'weights.pth').write_text('what the run starts from')
    output = train(tmp_path, code=1)
    assert "holds an earlier run's checkpoints (best_score_epoch_1.pth, epoch_1.pth, last_checkpoint)" in output
    assert '--overwrite' in output
    assert 'Traceback' not in output
    assert (tmp_path / 'epoch_1.pth').read_text() == "an earlier run's"
    assert 'not allowed with' in start(tmp_path, '--resume', '--overwrite').stderr
    train(tmp_path, '--overwrite', code=KILLED, DIES_AT='os.rename epoch_1.pth.unfinished')
    kept = {path.name: path.read_text() for path in (tmp_path / 'overwritten').iterdir()}
    assert kept['epoch_1.pth'] == "an earlier run's"
    assert len(kept) == 3
    assert newest_whole_checkpoint(tmp_path).path is None
    train(tmp_path, '--overwrite')
    assert names(tmp_path) == sorted([*DONE, 'weights.pth'])
    assert not (tmp_path / 'overwritten').exists()
    mmengines = ['default_hooks.checkpoint.type=CheckpointHook']
    train(tmp_path, settings=mmengines)
    output = train(tmp_path, '--overwrite', settings=mmengines, code=1)
    assert "the config's default_hooks.checkpoint is CheckpointHook, which overwrites without being asked" in output


def test_in_a_folder_in_which_another_trains_a_run_does_not_start(tmp_path):
    lock = take_folder(tmp_path)
    lock.seek(0)
    before = lock.read()
    for options in ((), ('--resume',), ('--overwrite',), ('--progress',)):
        assert f'another training runs in {tmp_path} (process {os.getpid()} ' in train(tmp_path, *options, code=1)
    assert [path.name for path in tmp_path.iterdir()] == ['.in_use']
    # Whoever closes the file gives the lock back, also by reading it.
    lock.close()
    assert (tmp_path / '.in_use').read_text() == before


def test_the_best_is_by_the_metrics_name_or_by_the_rule_and_no_score_that_is_not_finite():
    """A run whose best is infinite could never have a better one, and could not be resumed."""
    runner = SimpleNamespace(message_hub=SimpleNamespace(runtime_info={'best_score': 0.5}))
    for save_best, rule, higher in (
        *(('coco/bbox_mAP', None, True), ('val_loss', None, False), ('accuracy/top1', None, True)),
        *(('score', 'greater', True), ('val_loss', 'greater', True), ('score', 'less', False)),
    ):
        hook = WholeCheckpointHook(save_best=save_best, rule=rule)
        assert hook.is_better(runner, save_best, 0.6) == higher
        assert hook.is_better(runner, save_best, 0.4) != higher
        assert not any(hook.is_better(runner, save_best, score) for score in (float('inf'), float('nan'), None))


class Scores(BaseMetric):
    """Those of a first epoch, and of a later one."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        is_first = MessageHub.get_current_instance().get_info('epoch') == 0
        return {'a/accuracy': np.float32(0.7 if is_first else 0.6), 'loss': 3.0 if is_first else 0.5, 'note': 'x'}


@pytest.mark.parametrize(
    ('save_best', 'best'),
    [
        ('auto', ['best_a_accuracy_epoch_1.pth']),
        (['loss', 'a/accuracy'], ['best_a_accuracy_epoch_1.pth', 'best_loss_epoch_2.pth']),
    ],
)
def test_the_best_by_each_metric_is_kept_and_what_a_resumed_run_finds_better_replaces_it(save_best, best, tmp_path):
    # Ended after the first validation, of which its only checkpoint knows nothing.
    ending = mock.Mock(spec=Hook, priority='LOWEST', after_val_epoch=mock.Mock(side_effect=StoppedError))
    for resume in (False, True):
        loop = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 3}
        cfg = config(tmp_path, loop=loop, saves=None, resume=resume, **validating(Scores()))
        cfg.default_hooks.checkpoint.save_best = save_best
        if resume:
            cfg.default_hooks.safe_load = {'type': 'mmgcvit.SafeLoadHook'}
        run(cfg, hook=None if resume else ending)
    assert names(tmp_path) == [*best, 'epoch_3.pth', 'last_checkpoint']
    info = last(tmp_path)['message_hub']['runtime_info']
    score = info['best_score' if save_best == 'auto' else 'best_score_a/accuracy']
    assert (type(score), round(score, 6)) == (float, 0.7)


def test_what_is_the_best_is_written_once_and_can_be_resumed_from(tmp_path, monkeypatch):
    """Under a second name if it is the last, without links as a copy; written if it is not the last."""
    for name, saves, has_links in (('links', None, True), ('none', None, False), ('apart', 8, True)):
        work_dir, saved = tmp_path / name, mock.Mock(side_effect=save_run)
        loop = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 2}
        cfg = config(work_dir, loop=loop, saves=saves, **validating(Scores()))
        cfg.default_hooks.checkpoint.update(save_best='loss')
        with monkeypatch.context() as patch:
            patch.setattr('mmgcvit.engine.saving.save_run', saved)
            if not has_links:
                patch.setattr(os, 'link', mock.Mock(side_effect=OSError('no links here')))
            run(cfg)
        (best,) = work_dir.glob('best_*.pth')
        check_whole(best)
        newest = work_dir / ('iter_8.pth' if saves else 'epoch_2.pth')
        assert best.name == f'best_loss_{newest.name}'
        assert best.samefile(newest) == has_links
        assert saved.call_count == 2
        found, expected = (torch.load(path, weights_only=True) for path in (best, newest))
        assert difference(found, expected) is None
        cfg = config(work_dir, loop={**loop, 'max_epochs': 3}, saves=saves, resume=True, load_from=str(best))
        run(cfg)
        assert last(work_dir)['meta']['iter'] == 12


def test_what_was_killed_before_the_best_had_its_second_name_is_given_it(tmp_path):
    names = [f'best_score_epoch_{epoch}.pth' for epoch in (1, 2)]
    save_whole({'state_dict': {}}, tmp_path / 'epoch_2.pth')
    (tmp_path / names[0]).touch()
    (tmp_path / 'kept_as_best.json').write_text(json.dumps({'score': dict(zip(names, (0.5, 0.9), strict=True))}))
    assert named_bests(tmp_path) == {'score': (names[1], 0.9)}
    assert (tmp_path / names[1]).samefile(tmp_path / 'epoch_2.pth')
    give_second_name(tmp_path / 'epoch_2.pth', tmp_path / names[1])
    assert not [*tmp_path.glob('*.unfinished')], 'two names of one file are not renamed into one another'


def test_what_the_hook_does_not_do_is_refused_in_a_sentence():
    for settings, message in (
        ({'out_dir': 's3://bucket'}, r"local folders only; mmengine's CheckpointHook"),
        ({'backend_args': {'backend': 'petrel'}}, r"no backend_args: .*local folders only; mmengine's CheckpointHook"),
        ({'published_keys': ['meta']}, r"no published_keys: 'mmgcvit publish'"),
        ({'intervall': 1}, r'no intervall: there is no such setting'),
        ({'save_best': 'score'}, r"its name does not tell whether more is better; set rule='greater'"),
        ({'save_best': ['acc', 'loss'], 'rule': ['greater']}, r"rule=.*expected 'greater' or 'less'"),
    ):
        with pytest.raises(UserError, match=message):
            WholeCheckpointHook(**settings)


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_a_warned_run_saves_after_the_step_and_goes_on_to_the_end_of_one_that_was_not(name, tmp_path):
    warned, whole = tmp_path / 'warned', tmp_path / 'whole'
    output = train(warned, '--progress', settings=ITERATIONS, code=75, WARNED=f'{name}@3')
    line = f'{name}: saved {warned / "iter_3.pth"} and ended with exit code 75; call it again with --resume to go on'
    assert output.count(line) == 1
    assert 'Traceback' not in output
    assert last(warned)['meta']['iter'] == 3
    train(warned, '--resume', settings=ITERATIONS)
    train(whole, settings=ITERATIONS)
    assert names(warned) == names(whole) == ['best_score_iter_6.pth', 'iter_6.pth', 'last_checkpoint']
    resumed, plain = last(warned), last(whole)
    assert resumed['meta']['iter'] == plain['meta']['iter'] == 6
    torch.testing.assert_close(resumed['state_dict'], plain['state_dict'], rtol=0, atol=0)


def test_a_warning_is_answered_after_the_optimizers_step_once_and_not_at_the_last(tmp_path):
    accumulated = [*ITERATIONS, 'optim_wrapper.accumulative_counts=3']
    train(tmp_path / 'within', settings=accumulated, code=RESUME_ME, WARNED='SIGTERM@1')
    assert last(tmp_path / 'within')['meta']['iter'] == 3
    output = train(tmp_path / 'saved', settings=ITERATIONS, code=RESUME_ME, WARNED='SIGTERM@4')
    assert names(tmp_path / 'saved') == ['best_score_iter_2.pth', 'iter_4.pth', 'last_checkpoint']
    assert output.count('iter_4.pth') == 1, 'what the hook for checkpoints has just saved is not saved twice'
    train(tmp_path / 'last', settings=ITERATIONS, WARNED='SIGTERM@6')
    assert last(tmp_path / 'last')['meta']['iter'] == 6


def test_warned_again_a_run_that_counts_epochs_keeps_one_checkpoint_of_its_early_ends(tmp_path):
    two_an_epoch = ['train_dataloader.batch_size=1']
    train(tmp_path, settings=two_an_epoch, code=RESUME_ME, WARNED='SIGTERM@3')
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'iter_3.pth', 'last_checkpoint']
    assert newest_whole_checkpoint(tmp_path).path == tmp_path / 'iter_3.pth'
    train(tmp_path, '--resume', settings=two_an_epoch)
    assert names(tmp_path) == DONE


def test_workers_that_load_data_outlive_a_warning_to_all_processes(tmp_path):
    """As torch's launcher sends it, and slurm."""
    # mmengine 0.10.7's own loop starts them before they can be told.
    loop = [it.replace('by_epoch=False', 'type=mmgcvit.IterBasedTrainLoop') for it in ITERATIONS if 'hooks' not in it]
    settings = [*loop, 'train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    output = train(tmp_path, settings=settings, code=RESUME_ME, WARNED='group SIGTERM@3')
    assert 'DataLoader worker' not in output
    assert last(tmp_path)['meta']['iter'] == 3


@pytest.mark.parametrize('settings', [(), pytest.param(SHARDED, marks=SHARDS_HERE)], ids=['DDP', 'FSDP'])
def test_the_warning_of_one_process_ends_all_at_the_same_step(settings, tmp_path):
    before_validation = [*ITERATIONS, 'train_cfg.val_interval=3']
    train_in_two(tmp_path, settings=[*before_validation, *settings], code=RESUME_ME, WARNED='SIGUSR1@3/1')
    assert last(tmp_path)['meta']['iter'] == 3
    assert names(tmp_path) == ['iter_2.pth', 'iter_3.pth', 'last_checkpoint']


@pytest.mark.long
@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_the_launcher_passes_a_warning_on_and_the_answer_back(name, tmp_path):
    endless = [*ITERATIONS, 'train_cfg.max_iters=100000', 'train_cfg.val_interval=100000']
    command = [TOOLS / 'dist_train.sh', CONFIG, 2, '--work-dir', tmp_path / 'work', '--cfg-options']
    log = tmp_path / 'log'
    with log.open('w') as file:
        output = {'stdout': file, 'stderr': subprocess.STDOUT}
        with started([*command, *endless], environment_for('', PYTHONPATH=str(ROOT)), **output) as process:
            while not (tmp_path / 'work' / 'last_checkpoint').is_file():
                assert process.poll() is None, log.read_text()[-3000:]
            os.kill(process.pid, signal.Signals[name])
            assert process.wait(60) == RESUME_ME, log.read_text()[-3000:]
    assert log.read_text().count('call it again with --resume to go on') == 1
    assert last(tmp_path / 'work')['meta']['iter'] > 0
