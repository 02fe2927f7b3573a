"""A folder is one training's at a time."""

import os
import signal

import pytest

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.checkpoints.folder_lock import take_folder

from .. import fork_server


def take_and_wait(folder, pipe):
    lock = take_folder(folder)
    pipe.send('')
    pipe.recv()
    lock.close()


@pytest.fixture
def holder(tmp_path):
    """A process that trains in a folder, as far as others can tell."""
    fork_server.ensure_running()
    ours, theirs = fork_server.CONTEXT.Pipe()
    process = fork_server.CONTEXT.Process(target=take_and_wait, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == ''
    yield process
    process.kill()
    process.join()


def test_a_second_training_is_refused_and_told_who_has_the_folder(holder, tmp_path):
    who = rf'process {holder.pid} on \S+'
    with pytest.raises(CheckpointError, match=rf'another training runs in {tmp_path} \({who}\).*--work-dir'):
        take_folder(tmp_path)


def test_a_training_that_was_killed_holds_nothing_though_its_workers_live(tmp_path):
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


def test_a_training_that_has_ended_gives_its_folder_back(tmp_path):
    take_folder(tmp_path).close()
    take_folder(tmp_path)


def test_a_disk_without_locks_is_nobodys(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(37, 'No locks available')

    monkeypatch.setattr('fcntl.lockf', refuse)
    take_folder(tmp_path)
