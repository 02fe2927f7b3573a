"""Where files are read, and what tells that one did more than being read."""

import os
import sys
import tempfile
from pathlib import Path

# What Python tells of a process that does more than computing.
STARTS = {'os.system', 'subprocess.Popen', 'os.exec', 'os.posix_spawn', 'os.fork', 'pty.spawn', 'ctypes.dlopen'}
TALKS = {'socket.connect', 'socket.getaddrinfo', 'urllib.Request'}
REMOVES = {'os.remove', 'os.rmdir', 'shutil.rmtree', 'os.rename', 'os.truncate', 'os.chmod', 'os.symlink', 'os.link'}


class Sandbox:
    """A folder for everything that the ways in write, and beside it what nobody may touch.

    Attributes:
        canary: A file that appears if code of a checkpoint runs.
        victim: Another run's best checkpoint, which files name.
    """

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix='fuzz'))
        self.folder = self.root / 'inside'
        self.work_dir = self.folder / 'work'
        self.canary = self.root / 'canary'
        self.victim = self.root / 'other' / 'best_score_epoch_1.pth'
        self.folder.mkdir()
        self.victim.parent.mkdir()
        self.victim.write_bytes(b'precious')
        self.deeds = []
        self.watching = False

    def watch(self):
        """Note from now on, for the rest of the process, what is done while :attr:`watching`."""
        sys.addaudithook(self.note)

    def note(self, event, arguments):
        if not self.watching:
            return
        is_deed = event in STARTS or event in TALKS
        if event in REMOVES or (event == 'open' and is_for_writing(arguments)):
            folder = arguments[-1] if event in ('os.remove', 'os.rmdir') else -1
            is_deed = not self.is_inside(arguments[0], folder)
        if is_deed:
            self.deeds.append(f'{event} {arguments}'[:500])

    def is_inside(self, path, folder):
        if isinstance(path, int):
            return True
        base = Path.cwd() if folder == -1 else Path(f'/proc/self/fd/{folder}').readlink()
        path = str((base / os.fsdecode(path)).resolve())
        return path.startswith((str(self.folder), '/dev/null', f'{tempfile.gettempdir()}/tmp'))

    def harm(self):
        """What was done since the last time that reading a file does not do."""
        harm, self.deeds = self.deeds, []
        if self.canary.exists():
            harm.append('code of the file ran')
            self.canary.unlink()
        if not self.victim.exists() or self.victim.read_bytes() != b'precious':
            harm.append("another run's best checkpoint is gone")
            self.victim.write_bytes(b'precious')
        return harm


def is_for_writing(arguments):
    _, mode, flags = arguments
    return bool(set(mode or '') & set('wax+')) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
