"""The folder of a run: which checkpoint is gone on from, whose checkpoints they are, and that one training has it."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmgcvit.checkpoints import CheckpointError, DamagedCheckpointError, newest_whole_checkpoint, save_whole
from mmgcvit.checkpoints.run_folder import (
    bests_in,
    checkpoints_in,
    is_taken,
    refuse_used,
    remove,
    resume,
    set_aside,
    take_folder,
)

from .. import fork_server


@pytest.fixture
def run(tmp_path):
    """Writes checkpoints by name, one second after the other, and with ``last`` what was written last."""
    seconds = iter(range(1_000_000_000, 2_000_000_000))

    def write(*names, last=None):
        for name in names:
            save_whole({'name': name}, tmp_path / name)
            os.utime(tmp_path / name, (second := next(seconds), second))
        if last is not None:
            (tmp_path / 'last_checkpoint').write_text(str(tmp_path / last))
            os.utime(tmp_path / 'last_checkpoint', (second := next(seconds), second))
        return tmp_path

    return write


def newest(folder):
    found = newest_whole_checkpoint(folder)
    return found.path and found.path.name


class TestNewest:
    def test_numbers_count_not_letters_nor_the_order_of_copying(self, run):
        assert newest(run('epoch_9.pth', 'epoch_10.pth', last='epoch_10.pth')) == 'epoch_10.pth'
        assert newest(run('epoch_10.pth', 'epoch_9.pth')) == 'epoch_10.pth'

    def test_without_last_checkpoint(self, run):
        assert newest(run('iter_500.pth', 'iter_1000.pth')) == 'iter_1000.pth'

    def test_killed_between_a_checkpoint_and_its_name(self, run):
        run('epoch_1.pth', 'epoch_2.pth', last='epoch_2.pth')
        assert newest(run('epoch_3.pth')) == 'epoch_3.pth'

    def test_a_longer_run_before_in_the_same_folder_comes_last(self, run):
        run('epoch_35.pth', 'epoch_36.pth', last='epoch_36.pth')
        assert newest(run('epoch_1.pth', 'epoch_2.pth', last='epoch_2.pth')) == 'epoch_2.pth'

    def test_the_kind_of_the_last_one_comes_first(self, run):
        run('iter_9000.pth', last='iter_9000.pth')
        assert newest(run('epoch_1.pth', last='epoch_1.pth')) == 'epoch_1.pth'

    def test_of_epochs_and_iterations_that_of_most_iterations(self, run, tmp_path):
        """Of a run of ten iterations an epoch that has ended within one; the early end's file was written last."""
        for name, iterations in (('epoch_1.pth', 10), ('epoch_3.pth', 30), ('iter_25.pth', 25), ('iter_35.pth', 35)):
            save_whole({'meta': {'iter': iterations}, 'state_dict': {'weight': torch.ones(2)}}, tmp_path / name)
        assert newest(run(last='iter_35.pth')) == 'iter_35.pth'
        (tmp_path / 'last_checkpoint').unlink()
        assert newest(tmp_path) == 'iter_35.pth'
        run(last='iter_35.pth')
        save_whole({'meta': {'iter': 40}}, tmp_path / 'epoch_4.pth')
        assert newest(tmp_path) == 'epoch_4.pth', 'killed before it was named'
        for name in ('epoch_4.pth', 'iter_35.pth', 'epoch_3.pth'):
            os.truncate(tmp_path / name, 500)
        assert newest(tmp_path) == 'iter_25.pth'

    def test_a_last_checkpoint_that_is_gone_or_names_nothing(self, run):
        folder = run('epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', last='epoch_3.pth')
        (folder / 'epoch_3.pth').unlink()
        assert newest(folder) == 'epoch_2.pth'
        for content in (b'', b'\xff\xfe', b'nonsense', b'/elsewhere/best.pth', b'../epoch_x.pth'):
            (folder / 'last_checkpoint').write_bytes(content)
            assert newest(folder) == 'epoch_2.pth'

    def test_damaged_ones_are_passed_over_and_named_in_one_line(self, run):
        folder = run('epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', last='epoch_3.pth')
        os.truncate(folder / 'epoch_3.pth', 500)
        (folder / 'epoch_2.pth').write_bytes(b'')
        # Of whose first bytes the system says EIO, as of a bad sector.
        (folder / 'epoch_4.pth').symlink_to('/proc/self/mem')
        found = newest_whole_checkpoint(folder)
        assert found.path == folder / 'epoch_1.pth'
        assert 'damaged' in found.damaged[folder / 'epoch_3.pth']
        assert 'empty' in found.damaged[folder / 'epoch_2.pth']
        passed = ', '.join(str(folder / f'epoch_{number}.pth') for number in (4, 3, 2))
        assert str(found) == f'the newest whole checkpoint is {folder / "epoch_1.pth"}; passed over, damaged: {passed}'

    def test_best_ones_and_others_are_none_to_resume(self, run, tmp_path):
        folder = run('best_a_epoch_3.pth', 'epoch_3.pth.unfinished', 'my_epoch_3.pth')
        (folder / 'epoch_4.pth').mkdir()
        for place in (folder, tmp_path / 'nowhere'):
            found = newest_whole_checkpoint(place)
            assert (found.path, found.damaged) == (None, {})
            assert str(found) == 'there is no whole checkpoint'

    def test_a_checkpoint_that_is_removed_meanwhile_is_none(self, run, monkeypatch):
        folder = run('epoch_1.pth', 'epoch_2.pth')
        is_file = Path.is_file

        def removed_after(path):
            found = is_file(path)
            if path.name == 'epoch_2.pth':
                path.unlink(missing_ok=True)
            return found

        monkeypatch.setattr(Path, 'is_file', removed_after)
        assert newest(folder) == 'epoch_1.pth'


class TestResume:
    @pytest.fixture
    def cfg(self, run, tmp_path):
        """A run with three checkpoints."""
        run('epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', last='epoch_3.pth')
        return Config({'work_dir': str(tmp_path)})

    def test_the_newest_whole_one_is_taken_or_the_one_that_is_named(self, cfg, tmp_path):
        resume(cfg, str(tmp_path / 'epoch_1.pth'))
        assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'epoch_1.pth'))
        resume(cfg, 'auto')
        assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'epoch_3.pth'))
        os.truncate(tmp_path / 'epoch_3.pth', 100)
        resume(cfg, 'auto')
        assert cfg.load_from == str(tmp_path / 'epoch_2.pth')
        with pytest.raises(DamagedCheckpointError, match=r'epoch_3\.pth is damaged'):
            resume(cfg, str(tmp_path / 'epoch_3.pth'))

    def test_where_all_are_damaged_nothing_begins_anew(self, cfg, tmp_path):
        for path in tmp_path.glob('*.pth'):
            os.truncate(path, 100)
        with pytest.raises(CheckpointError, match=r'no whole checkpoint; passed over, damaged: .*epoch_3\.pth'):
            resume(cfg, 'auto')

    def test_an_empty_folder_begins_a_run_unless_something_is_said_to_be_there(self, tmp_path):
        cfg = Config({'work_dir': str(tmp_path)})
        resume(cfg, 'auto')
        assert cfg.load_from is None
        for named in ('', 'gone/epoch_3.pth'):
            (tmp_path / 'last_checkpoint').write_text(named)
            with pytest.raises(CheckpointError, match=r'names none that is there \(.*remove .*last_checkpoint'):
                resume(cfg, 'auto')

    def test_checkpoints_that_a_hook_saves_elsewhere_are_found(self, cfg, tmp_path):
        (tmp_path / 'run').mkdir()
        (tmp_path / 'run' / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
        cfg.work_dir = str(tmp_path / 'run')
        resume(cfg, 'auto')
        assert cfg.load_from == str(tmp_path / 'epoch_3.pth')


class TestWhoseCheckpoints:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / 'run' / 'inner').mkdir(parents=True)
        (tmp_path / 'other').mkdir()
        return tmp_path / 'run'

    def test_what_counts_as_a_runs_checkpoints(self, folder):
        ours = ['best_a_mAP_epoch_3.pth', 'epoch_12.pth', 'iter_9.pth', 'kept_as_best.json', 'last_checkpoint']
        for name in [*ours, 'weights.pth', 'epoch_1.pth.unfinished', 'my_epoch_1.pth', 'epoch_x.pth', 'log.json']:
            (folder / name).touch()
        assert [path.name for path in checkpoints_in(folder)] == ours
        assert checkpoints_in(folder / 'nowhere') == []

    def test_of_the_best_that_are_noted_the_last_that_is_there_is_the_best(self, folder):
        assert bests_in(folder) == {}
        for name in ('best_a_b_epoch_1.pth', 'best_a_b_epoch_3.pth'):
            (folder / name).touch()
        scores = {f'best_a_b_epoch_{epoch}.pth': epoch / 2 for epoch in (1, 3, 4)}
        (folder / 'kept_as_best.json').write_text(json.dumps({'a/b': scores, 'c': {'best_c_epoch_1.pth': 1}}))
        assert bests_in(folder) == {'a/b': ('best_a_b_epoch_3.pth', 1.5)}
        for content in ('', '[]', '{"a/b": 3}', '{"a/b": {"best_a_b_epoch_1.pth": "x"}}'):
            (folder / 'kept_as_best.json').write_text(content)
            with pytest.raises(CheckpointError, match=r'kept_as_best\.json does not say .*remove it'):
                bests_in(folder)

    def test_a_used_folder_is_refused_and_of_many_checkpoints_three_are_named(self, folder):
        refuse_used(folder, [])
        with pytest.raises(CheckpointError, match=r'\(epoch_1\.pth, epoch_2\.pth, epoch_3\.pth, \.\.\.\)'):
            refuse_used(folder, [folder / f'epoch_{number}.pth' for number in range(1, 9)])

    def test_what_is_set_aside_replaces_what_was_before(self, folder):
        for content in ('first', 'second'):
            (folder / 'epoch_1.pth').write_text(content)
            (folder / 'epoch_2.pth').mkdir()
            (folder / 'epoch_2.pth' / 'rank0.pth').write_text(content)
            set_aside(checkpoints_in(folder), folder)
            assert checkpoints_in(folder) == []
            assert (folder / 'overwritten' / 'epoch_1.pth').read_text() == content
            assert (folder / 'overwritten' / 'epoch_2.pth' / 'rank0.pth').read_text() == content
        remove(folder / 'overwritten', folder)
        assert [path.name for path in folder.iterdir()] == ['inner']

    def test_nothing_outside_of_a_folder_is_removed(self, folder):
        for name in ('../best_x_epoch_1.pth', '../other/best_x_epoch_1.pth', 'inner/../../other/x.pth'):
            (folder / name).write_text('precious')
            remove(folder / name, folder)
            remove((folder / name).resolve(), folder)
            assert (folder / name).read_text() == 'precious'
        (folder / 'epoch_1.pth').symlink_to(folder.parent / 'other')
        for _ in range(2):
            remove(folder / 'epoch_1.pth', folder)
        assert not (folder / 'epoch_1.pth').is_symlink()
        assert (folder.parent / 'other' / 'x.pth').is_file()


def take_and_wait(folder, pipe):
    lock = take_folder(folder)
    pipe.send('')
    pipe.recv()
    lock.close()


def ask(folder, times):
    return {is_taken(folder) for _ in range(times)}


class TestOneTrainingAtATime:
    def test_those_who_ask_at_once_do_not_refuse_each_other_and_who_has_the_folder_keeps_it(self, tmp_path):
        """As the processes of one run ask; a process may also take a folder that it has, after a run that failed."""
        fork_server.ensure_running()
        take_folder(tmp_path).close()
        with fork_server.CONTEXT.Pool(2) as pool:
            assert pool.starmap(ask, [(tmp_path, 300)] * 2, chunksize=1) == [{False}] * 2
            failed = take_folder(tmp_path)
            assert ask(tmp_path, 2) == {False}
            assert pool.apply(ask, (tmp_path, 1)) == {True}
            lock = take_folder(tmp_path)
            failed.close()
            assert pool.apply(ask, (tmp_path, 1)) == {True}
            lock.close()
            assert pool.apply(ask, (tmp_path, 1)) == {False}

    def test_a_second_training_is_refused_and_told_who_has_the_folder(self, tmp_path):
        fork_server.ensure_running()
        ours, theirs = fork_server.CONTEXT.Pipe()
        holder = fork_server.CONTEXT.Process(target=take_and_wait, args=(tmp_path, theirs))
        holder.start()
        try:
            assert ours.recv() == ''
            who = rf'process {holder.pid} on \S+'
            with pytest.raises(CheckpointError, match=rf'another training runs in {tmp_path} \({who}\).*--work-dir'):
                take_folder(tmp_path)
        finally:
            holder.kill()
            holder.join()
        take_folder(tmp_path).close()
        take_folder(tmp_path)

    def test_a_training_that_was_killed_holds_nothing_though_its_workers_live(self, tmp_path):
        """A scheduler starts a job again at once; workers look for their process every few seconds only."""
        read, write = os.pipe()
        holder = os.fork()
        if holder == 0:
            lock = take_folder(tmp_path)
            worker = os.fork()
            if worker:
                os.write(write, f'{worker} {lock.name}'.encode())
            signal.pause()
        worker = int(os.read(read, 1000).split()[0])
        try:
            with pytest.raises(CheckpointError):
                take_folder(tmp_path)
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)
            os.kill(worker, 0)
            take_folder(tmp_path)
        finally:
            os.kill(worker, signal.SIGKILL)
