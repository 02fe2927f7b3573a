"""A run's folder: its checkpoints, threshold, lock and what is left of it."""

import errno
import os
import signal
from unittest import mock

import pytest

from mmgcvit.errors import CheckpointError, UserError
from mmgcvit.predict.thresholds import ScoreThresholds
from mmgcvit.runs import lock as run_lock
from mmgcvit.runs.folder import RunFolder, choose_run_name, choose_work_dir

from ..toy import write_checkpoints


@pytest.fixture
def run(tmp_path):
    """Return a folder with three checkpoints, the second of which last_checkpoint names."""
    write_checkpoints(tmp_path)
    return RunFolder(tmp_path)


@pytest.mark.parametrize(
    ('data', 'name'), [('photos', 'photos'), ('my photos/', 'my_photos'), ('/', 'own_data')]
)
def test_a_run_has_the_name_of_its_data(data, name):
    assert choose_run_name([data]) == name
    assert str(choose_work_dir([data], None)) == f'work_dirs/{name}'


def test_the_latest_checkpoint_is_found_also_if_the_work_dir_was_moved(run):
    for named, found in (
        (f'{run.path}/epoch_2.pth', 2),
        ('/an/earlier/place/epoch_2.pth', 2),
        ('', 10),
    ):
        (run.path / 'last_checkpoint').write_text(named)
        found_file = run.path / f'epoch_{found}.pth'
        assert run.read_latest_checkpoint().source == str(found_file)


def test_the_checkpoint_of_another_run_that_has_the_old_name_is_not_read(run):
    """The last checkpoint of a renamed run was removed. Checkpoints alone are in the folder of the
    hook's out_dir.
    """
    other = run.path / 'old_name'
    other.mkdir()
    (run.path / 'epoch_2.pth').rename(other / 'epoch_2.pth')
    (run.path / 'last_checkpoint').write_text(str(other / 'epoch_2.pth'))
    assert run.read_latest_checkpoint().source == str(other / 'epoch_2.pth')
    (other / 'last_checkpoint').write_text(str(other / 'epoch_2.pth'))
    assert run.read_latest_checkpoint().source == str(run.path / 'epoch_10.pth')


def test_truncated_checkpoints_are_skipped_and_it_is_an_error_if_all_are(run):
    for name in ('epoch_2.pth', 'epoch_10.pth'):
        os.truncate(run.path / name, 500)
    assert run.read_latest_checkpoint().source == str(run.path / 'epoch_1.pth')
    (run.path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='has no readable checkpoint'):
        run.read_latest_checkpoint()


def test_a_config_is_read_once(run):
    file = run.path / 'a.py'
    file.write_text('a = 1')
    assert run.config.a == 1
    file.unlink()
    assert run.config.a == 1


@pytest.mark.parametrize('names', [(), ('a.py', 'b.py')])
def test_a_folder_without_exactly_one_config_is_not_a_work_dir(names, run):
    for name in names:
        (run.path / name).touch()
    with pytest.raises(UserError, match=r'is not the work dir of a run, which has one config'):
        _ = run.config_file


def test_leftovers_are_what_the_run_has_written_and_nothing_of_the_user(run):
    logged = run.path / '20260101_000000' / 'vis_data' / 'config.py'
    logged.parent.mkdir(parents=True)
    for file in (logged, run.path / 'run.py'):
        file.write_text('a = 1')
    own = ['run.py', 'validated', 'score_thr.json', 'val_images/epoch_1.jpg']
    users = ['notes.py', 'weights.pth', 'val_images/mine.jpg', 'made/run.py']
    for name in [*own, *users]:
        file = run.path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (run.path / 'run.py').write_text('a = 1')
    checkpoints = ['epoch_1.pth', 'epoch_10.pth', 'epoch_2.pth', 'last_checkpoint']
    found = sorted(str(file.relative_to(run.path)) for file in run.list_leftovers())
    assert found == sorted([*own, *checkpoints])


def test_a_threshold_is_that_of_a_checkpoint_with_the_same_content(run):
    checkpoint = run.path / 'epoch_1.pth'
    run.write_thresholds(checkpoint, ScoreThresholds(0.25))
    assert run.read_thresholds(str(checkpoint)) == ScoreThresholds(0.25)
    assert run.read_thresholds(str(run.path / 'epoch_2.pth')) is None
    (run.path / 'score_thr.json').write_text('[]')
    with pytest.raises(UserError, match=r'score_thr\.json is damaged'):
        run.read_thresholds(str(checkpoint))


def test_the_last_validation_is_known_by_its_position(run):
    assert not run.is_validated('epoch 3')
    run.write_validated('epoch 3')
    assert [run.is_validated('epoch 3'), run.is_validated('epoch 4')] == [True, False]


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch):
    """A lock file that a killed process left on another node, as filelock's soft locks do, is not a
    lock.
    """
    (tmp_path / '.lock').write_text('7\nanother-node\n')
    monkeypatch.setattr('fcntl.flock', mock.Mock(side_effect=OSError(errno.ENOSYS, 'no locks')))
    monkeypatch.setattr('mmgcvit.host.runners.log_warning', log := mock.Mock())
    for _ in range(2):
        with RunFolder(tmp_path).lock():
            assert f'{tmp_path} cannot be locked (no locks)' in log.call_args.args[0]


def test_a_work_dir_is_unlocked_also_while_a_data_worker_lives(tmp_path, monkeypatch):
    """As in a notebook that trains twice. Workers are forks, with the open lock file."""
    monkeypatch.setattr(run_lock, 'LOCK_TIMEOUT', 0)
    run = RunFolder(tmp_path)
    with run.lock():
        worker = os.fork()
        if worker == 0:
            signal.pause()
    try:
        with run.lock():
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
