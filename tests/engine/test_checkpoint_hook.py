"""A checkpoint is whole or not there, whenever a run is killed, and an earlier run's are not lost by mistake."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmgcvit.checkpoints import check_whole, newest_whole_checkpoint
from mmgcvit.checkpoints.run_folder import take_folder
from mmgcvit.engine.saving import WholeCheckpointHook

from .faults import KILLED
from .toy_runs import FLEXIBLE, ITERATIONS, SHARED_OUT, last, names, start, train, train_in_two_processes

DONE = ['best_score_epoch_3.pth', 'epoch_3.pth', 'last_checkpoint']
# In the second epoch of a run that keeps one checkpoint and the best, in the order in which they come.
MOMENTS = [
    'open epoch_2.pth.unfinished',
    'half-written epoch_2.pth.unfinished',
    'os.rename epoch_2.pth.unfinished',
    'open last_checkpoint.unfinished',
    'os.rename last_checkpoint.unfinished',
    'os.remove epoch_1.pth',
    'half-written best_score_epoch_2.pth.unfinished',
    'os.rename best_score_epoch_2.pth.unfinished',
    'os.remove best_score_epoch_1.pth',
]


@pytest.mark.parametrize('moment', MOMENTS)
def test_killed_at_any_moment_a_run_leaves_a_whole_last_and_best_one_and_goes_on(moment, tmp_path):
    train(tmp_path, code=KILLED, DIES_AT=moment, DIES_IN='2')
    for path in tmp_path.glob('*.pth'):
        check_whole(path)
    assert Path((tmp_path / 'last_checkpoint').read_text()).is_file()
    assert newest_whole_checkpoint(tmp_path).path is not None
    assert list(tmp_path.glob('best_*.pth'))
    train(tmp_path, '--resume')
    assert last(tmp_path)['meta']['epoch'] == 3
    assert not list(tmp_path.glob('*.unfinished'))
    assert set(DONE) <= set(names(tmp_path))


def test_a_run_keeps_as_many_as_it_should_and_the_best(tmp_path):
    train(tmp_path)
    assert names(tmp_path) == DONE


def test_a_run_that_counts_iterations_does_so_too(tmp_path):
    train(tmp_path, settings=ITERATIONS)
    assert names(tmp_path) == ['best_score_iter_6.pth', 'iter_6.pth', 'last_checkpoint']


@pytest.mark.parametrize(
    ('run', 'settings'),
    [(train, [*FLEXIBLE, 'strategy.type=SingleDeviceStrategy']), (train_in_two_processes, SHARED_OUT)],
    ids=['one process', 'FSDP'],
)
def test_with_a_strategy_too_and_it_counts_epochs_as_they_are(run, settings, tmp_path):
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


class TestANewRunInAnEarlierOnesFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        """With the checkpoints of a run, written by others than the hook."""
        for name in ('epoch_1.pth', 'best_score_epoch_1.pth'):
            (tmp_path / name).write_text("an earlier run's")
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
        (tmp_path / 'weights.pth').write_text('what the run starts from')
        return tmp_path

    def test_is_refused_in_a_sentence(self, folder):
        output = train(folder, code=1)
        assert "holds an earlier run's checkpoints (best_score_epoch_1.pth, epoch_1.pth, last_checkpoint)" in output
        assert '--overwrite' in output
        assert 'Traceback' not in output
        assert (folder / 'epoch_1.pth').read_text() == "an earlier run's"

    def test_begins_if_it_is_told_to_overwrite_and_then_nothing_of_the_earlier_is_left(self, folder):
        train(folder, '--overwrite')
        assert names(folder) == sorted([*DONE, 'weights.pth'])
        assert not (folder / 'overwritten').exists()

    def test_loses_nothing_before_it_has_saved_its_first(self, folder):
        train(folder, '--overwrite', code=KILLED, DIES_AT='os.rename epoch_1.pth.unfinished')
        kept = {path.name: path.read_text() for path in (folder / 'overwritten').iterdir()}
        assert kept['epoch_1.pth'] == "an earlier run's"
        assert len(kept) == 3
        assert newest_whole_checkpoint(folder).path is None

    def test_is_mmengines_affair_with_its_own_hook(self, folder):
        settings = ['default_hooks.checkpoint.type=CheckpointHook']
        train(folder, settings=settings)
        output = train(folder, '--overwrite', settings=settings, code=1)
        assert "the config's default_hooks.checkpoint is CheckpointHook, which overwrites without being asked" in output


@pytest.mark.parametrize('elsewhere', [{'out_dir': 's3://bucket'}, {'backend_args': {'backend': 'petrel'}}])
def test_an_object_store_is_refused(elsewhere):
    with pytest.raises(ValueError, match=r"local folders only.*mmengine's CheckpointHook"):
        WholeCheckpointHook(**elsewhere)


def test_resuming_and_overwriting_exclude_each_other(tmp_path):
    assert 'not allowed with' in start(tmp_path, '--resume', '--overwrite').stderr


def test_in_a_folder_in_which_another_trains_a_run_does_not_start(tmp_path):
    lock = take_folder(tmp_path)
    for options in ((), ('--resume',), ('--overwrite',)):
        assert f'another training runs in {tmp_path} (process {os.getpid()} ' in train(tmp_path, *options, code=1)
    assert names(tmp_path) == []
    lock.close()
    train(tmp_path)
    assert names(tmp_path) == DONE


@pytest.mark.parametrize('score', [float('inf'), float('nan'), None])
def test_a_score_that_is_not_finite_is_no_best(score):
    """A run whose best is infinite could never have a better one, and could not be resumed."""
    hook = WholeCheckpointHook(save_best='score', rule='greater')
    runner = SimpleNamespace(message_hub=SimpleNamespace(runtime_info={}))
    assert not hook.is_better(runner, 'score', score)
    assert hook.is_better(runner, 'score', 0.5)
