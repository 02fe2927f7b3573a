"""What the file systems of clusters do not offer costs a line at most: locks, flushing, appending, links, modes."""

import ctypes
import errno
import os
import pkgutil
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import CheckpointError, check_whole, read_checkpoint
from mmgcvit.checkpoints.downloads import place_in_cache
from mmgcvit.checkpoints.integrity import beside, digest_line, sha256
from mmgcvit.commands.main import run_command

from .engine.calling import CONFIG, as_before, call
from .inference.conftest import make_work_dir
from .test_full_disk import GCVIT, LIBC, disk

pytestmark = pytest.mark.usefixtures('as_before')
__all__ = ['as_before', 'disk']

ADDRESS = 'http://127.0.0.1:9/weights.pth'
REMOUNT, READ_ONLY = 32, 1

# Which calls, and for which paths; Python 3.10's Path calls others than those of os and io.
PATH = 'pathlib.Path.'
FLUSH_FOLDER = [('os.fsync', lambda path, *_: path.is_dir())]
# That of a user who may write there and not list; what is made there is their own.
OPEN_FOLDER = [('os.open', lambda path, *_: path.is_dir() and not path.name.startswith('tmp'))]
FLUSH = [('os.fsync', lambda *_: True)]
LOCK = [('fcntl.flock', lambda *_: True), ('fcntl.lockf', lambda *_: True)]
WRITE_ON = [(name, lambda path, mode='r', *_: 'a' in mode or '+' in mode) for name in ('builtins.open', PATH + 'open')]
LINKS_AND_MODES = [(f'os.{name}', lambda *_: True) for name in ('link', 'symlink', 'chmod', 'utime')]
MAP = [('safetensors.torch.load_file', lambda *_: True)]
RENAME = [(PATH + name, lambda *_: True) for name in ('rename', 'replace')]
# What is refused, with which errors (all go through one list, of which each is here once), and what a user reads of a
# training and its resuming.
NOT_LOCKED = r'{} cannot be locked \(.*\); nothing keeps another training out of it'
NO_LOGS = r'logs: \S+, copied into the work dir when the run ends: its file system does not append to files \('
FAULTS = {
    'folders are not flushed': (FLUSH_FOLDER, [errno.EIO], []),
    'folders are not opened': (OPEN_FOLDER, [errno.EACCES], []),
    'nothing is flushed': (FLUSH, [errno.ENOTSUP, errno.ENOSYS], []),
    'no locks': (LOCK, [errno.ENOLCK, errno.EINVAL], [NOT_LOCKED]),
    'no writing on': (
        WRITE_ON,
        [errno.EPERM],
        [NOT_LOCKED, NO_LOGS, 'checkpoints have no digest: their file system changes no file that is written'],
    ),
    'no files in memory': (MAP, [errno.ENODEV], []),
    'no links and modes': (LINKS_AND_MODES, [errno.EIO], []),
}


@contextmanager
def refusing(folder, number, calls):
    """Within this context such calls fail in this process for what lies in the folder; gives what was refused."""
    refused = []

    def answering(real, applies):
        def answer(what, *options, **more):
            number_of = what.fileno() if hasattr(what, 'fileno') else what
            path = (
                Path(f'/proc/self/fd/{number_of}').readlink() if isinstance(number_of, int) else Path(what).absolute()
            )
            if path.is_relative_to(folder) and applies(path, *options):
                refused.append(path)
                raise OSError(number, os.strerror(number), str(path))
            return real(what, *options, **more)

        return answer

    with pytest.MonkeyPatch.context() as patch:
        for name, applies in calls:
            patch.setattr(name, answering(pkgutil.resolve_name(name), applies))
        yield refused


def weights_in_cache(monkeypatch, home):
    """What a download leaves there."""
    monkeypatch.setenv('TORCH_HOME', str(home))
    place = place_in_cache(ADDRESS)
    place.parent.mkdir(parents=True)
    torch.save({'a': torch.ones(3)}, place)
    beside(place).write_text(digest_line(place, place.name))
    return place


def train_and_resume(folder):
    """Two epochs and a third; the checkpoints are whole, the logs complete, nothing unfinished is left."""
    arguments = ['train', CONFIG, '--work-dir', folder]
    assert call(*arguments, options=['log_level=WARNING']) is None
    # A second has one folder of logs.
    time.sleep(1 - time.time() % 1)
    assert call(*arguments, '--resume', options=['log_level=WARNING', 'train_cfg.max_epochs=3']) is None
    last = Path((folder / 'last_checkpoint').read_text())
    assert last.name == 'epoch_3.pth'
    check_whole(last)
    assert read_checkpoint(str(last))['meta']['epoch'] == 3
    # Of each epoch a line of losses and one of scores.
    assert [len(log.read_text().splitlines()) for log in sorted(folder.glob('*/vis_data/scalars.json'))] == [4, 2]
    assert len([log for log in folder.glob('*/*.log') if log.stat().st_size]) == 2
    assert not list(folder.rglob('*.unfinished'))


@pytest.mark.parametrize('fault', FAULTS)
def test_a_file_system_that_lacks_something_loads_trains_resumes_and_publishes(fault, tmp_path, monkeypatch, capfd):
    calls, numbers, lines = FAULTS[fault]
    weights_in_cache(monkeypatch, tmp_path / 'cache')
    run = make_work_dir(tmp_path / 'run', 'classification')
    built = GCViT(GCVIT, window_size=2)
    for number in numbers:
        out = tmp_path / errno.errorcode[number]
        with refusing(tmp_path, number, calls) as refused:
            assert read_checkpoint(ADDRESS)['a'].sum() == 3
            built.save_pretrained(out / 'saved')
            loaded = GCViT.from_pretrained(out / 'saved')
            run_command('publish', [run, out / 'model.safetensors'])
            capfd.readouterr()
            train_and_resume(out / 'run')
            refusal = call('train', CONFIG, '--work-dir', out / 'none', options=['default_hooks.checkpoint.no_such=1'])
        assert 'takes no no_such' in refusal
        # A folder that cannot be opened is not removed.
        assert calls is OPEN_FOLDER or not (out / 'none').exists()
        said = ''.join(capfd.readouterr())
        assert refused
        assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in built.state_dict().items())
        assert read_checkpoint(str(out / 'model.safetensors'))
        for line in lines:
            assert re.search(line.format(out / 'run'), said), line
        assert lines or not re.search('WARNING(?! - train_cfg)', said), said


def test_where_nothing_is_renamed_a_run_is_refused_before_it_begins(tmp_path):
    for number in (errno.ENOSYS, errno.EPERM):
        with refusing(tmp_path, number, RENAME):
            said = call('train', CONFIG, '--work-dir', tmp_path / 'run')
        assert f'cannot be written ({tmp_path}: {os.strerror(number)}); name another place' in said
        assert not (tmp_path / 'run').exists()


def test_weights_load_from_a_read_only_disk_and_what_is_not_there_is_a_sentence(disk, monkeypatch):
    place = weights_in_cache(monkeypatch, disk / 'cache')
    names = ('plain.pth', f'plain-{sha256(place)[:8]}.pth')
    for name in names:
        shutil.copy(place, place.with_name(name))
    if LIBC.mount(b'none', str(disk).encode(), None, REMOUNT | READ_ONLY, None):
        pytest.skip(f'no disk can be made read-only here: {os.strerror(ctypes.get_errno())}')
    for address in (ADDRESS, *(ADDRESS.replace('weights.pth', name) for name in names)):
        assert read_checkpoint(address)['a'].sum() == 3
    with pytest.raises(CheckpointError, match=r'could not be downloaded \(.*Read-only file system: .*/cache/'):
        read_checkpoint(ADDRESS.replace('weights', 'other'))


@pytest.fixture
def mount(tmp_path):
    """A folder in rclone's mount of another one, by FUSE: without its cache it never opens a file to write on."""
    if None in (shutil.which('rclone'), shutil.which('fusermount3')):
        pytest.skip('rclone and fusermount3 (fuse3) are not installed')
    (tmp_path / 'bucket').mkdir()
    (mounted := tmp_path / 'mounted').mkdir()
    command = ['rclone', 'mount', '--config', '/dev/null', f':local:{tmp_path}/bucket', mounted]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            while not mounted.is_mount() and server.poll() is None:
                time.sleep(0.05)
            if server.returncode is not None:
                pytest.skip(f'nothing can be mounted by FUSE here: {server.stderr.read()}')
            yield mounted
        finally:
            # At once, also where a test that failed has files open there; rclone ends with its mount.
            subprocess.run(['fusermount3', '-uz', mounted], check=False, stderr=subprocess.DEVNULL)
            server.terminate()


def test_a_run_trains_and_resumes_on_a_mount_by_fuse(mount, capfd):
    train_and_resume(mount / 'run')
    said = ''.join(capfd.readouterr())
    for line in FAULTS['no writing on'][2]:
        assert re.search(line.format(mount / 'run'), said), line
