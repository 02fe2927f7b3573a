"""Install the project into a virtual environment: python3 tools/installation/install.py .venv.

Does nothing where the environment is up to date, goes on where an earlier call was interrupted, and keeps a torch that
the environment has already. Runs on the bare standard library.

Environment variables, for compiled operators:
    FORCE_CUDA   1 compiles mmcv for GPUs (needs nvcc of torch's CUDA version), 0 for the CPU only. By default for GPUs
                 where torch finds one.
    MAX_JOBS     Compilers at a time (default: as many as cores and memory allow).
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

OLDEST_PYTHON = (3, 10)
# Here, because the rest of this file is none of an older Python's language.
if sys.version_info < OLDEST_PYTHON:
    raise SystemExit(
        f'Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later is needed; this is {sys.version.split()[0]}. '
        "Name another interpreter: 'make install PYTHON=python3.11'"
    )

from compile_mmcv import check_compiler, compile_mmcv, has_matching_nvcc, missing_compiler  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent


class Hosts(NamedTuple):
    """A distribution of the OpenMMLab packages: its pinned versions, its extra in setup.py, and what it goes with."""

    pins: Path
    extra: str
    mmcv: str
    newest_python: tuple[int, int]
    torch_from: tuple[int, int]
    torch_before: tuple[int, int]
    compiles_before: tuple[int, int]


HOSTS = {
    'maintained': Hosts(ROOT / 'pins.txt', 'hosts', 'onedl-mmcv', (3, 13), (2, 1), (3, 0), (2, 15)),
    # torch 2.6 reads checkpoints in another way than the original mmengine expects.
    'upstream': Hosts(ROOT / 'pins-upstream.txt', 'hosts-upstream', 'mmcv', (3, 11), (2, 1), (2, 6), (2, 6)),
}
EXTRAS = 'benchmark,checkpoints,digits,export,test,lint'
GIGABYTES_NEEDED = 8
# What pip says, and what it means.
REASONS = {
    'No space left on device': 'the disk is full',
    'NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|name resolution|Network is unreachable': (
        'the package index cannot be reached; check the network, or the index that pip is configured for'
    ),
}


def main() -> None:
    args = parse_args()
    venv, hosts = args.venv.resolve(), HOSTS[args.hosts]
    deciding_files = [hosts.pins, ROOT / 'setup.py', *sorted(Path(__file__).parent.glob('*.py'))]
    wanted = fingerprint(hosts.extra, args.operators, *(path.read_text() for path in deciding_files))
    stamp = venv / 'installed'
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    check_machine(hosts, venv)
    if args.operators == 'compiled':
        check_compiler()
    began = time.time()
    say('Installing into', venv, '(about 3 GB to download into a new one)')
    say('1 of 3: the environment')
    python = create_venv(venv)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = Pip(python, pins_beside(version_of(python, 'torch'), hosts, Path(folder)))
        say('2 of 3: torch (minutes, as fast as the network)')
        pip.install(['torch', 'torchvision'], show_progress=sys.stdout.isatty())
        torch = version_of(python, 'torch')
        check_torch(torch, hosts)
        compiled = wants_compiled(args.operators, python, torch, hosts)
        say('3 of 3: mmengine, mmcv, mmdet, mmseg, mmpretrain, and this project')
        pip.install(['--editable', f'{ROOT}[{hosts.extra},{EXTRAS}]'])
        if compiled:
            compile_mmcv(pip, pin_of(hosts, hosts.mmcv), venv / 'mmcv-build.log', say)
        ensure_opencv_imports(pip)
    check_imports(python)
    stamp.write_text(wanted)
    say(f'Done in {clock(time.time() - began)}.')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('venv', type=Path, help='folder of the environment, for example .venv')
    parser.add_argument(
        '--hosts',
        choices=HOSTS,
        default='maintained',
        help='the maintained forks of the OpenMMLab packages, or the original ones (default: %(default)s)',
    )
    parser.add_argument(
        '--operators',
        choices=['auto', 'torchvision', 'compiled'],
        default='auto',
        help="torchvision's in the place of mmcv's, which needs no compiler, or mmcv's, compiled here; auto compiles "
        'where there are a GPU and an nvcc for it (default: %(default)s)',
    )
    return parser.parse_args()


class Pip:
    """pip of an environment, with constraints."""

    def __init__(self, python: Path, pins: Path) -> None:
        self.python = python
        self.pins = pins

    def command(self, what: Sequence[str]) -> list[str]:
        """The call that installs."""
        call = [str(self.python), '-m', 'pip', 'install', '--disable-pip-version-check', '-c', str(self.pins)]
        return [*call, *what]

    def install(self, what: Sequence[str], show_progress: bool = False) -> None:
        """Install; pip's own words are shown, and after a failure their meaning.

        Raises:
            SystemExit: pip failed.
        """
        quiet = [] if show_progress else ['--quiet']
        with subprocess.Popen(
            self.command([*quiet, *what]), stderr=subprocess.PIPE, text=True, errors='replace'
        ) as process:
            said = []
            for line in process.stderr:
                said.append(line)
                sys.stderr.write(line)
        if process.returncode:
            meant = [meaning for words, meaning in REASONS.items() if re.search(words, ''.join(said))]
            reason = meant[0] if meant else 'see above'
            raise SystemExit(f'pip could not install {" ".join(what)}: {reason}. The next call goes on from here.')

    def uninstall(self, *what: str) -> None:
        """Remove packages that may be there."""
        command = [str(self.python), '-m', 'pip', 'uninstall', '--quiet', '--yes', *what]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def check_machine(hosts: Hosts, venv: Path) -> None:
    """Stop early where something is missing that pip cannot install.

    Raises:
        SystemExit: It is: the right Python, ensurepip, or room for a new environment.
    """
    if sys.version_info[:2] > hosts.newest_python:
        oldest, newest = ('.'.join(map(str, version)) for version in (OLDEST_PYTHON, hosts.newest_python))
        raise SystemExit(
            f'Python {oldest} to {newest} is needed; this is {sys.version.split()[0]}. '
            "Name another interpreter: 'make install PYTHON=python3.11'"
        )
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        raise SystemExit(
            'Python comes without ensurepip, so no virtual environment can be made; on Debian or Ubuntu: '
            "'apt-get install python3-venv'"
        ) from None
    there = next(folder for folder in (venv, *venv.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    if there != venv and free < GIGABYTES_NEEDED:
        raise SystemExit(
            f'{there} has {free:.1f} GB free, and a new environment takes about {GIGABYTES_NEEDED}; make room, or name '
            "another place: 'make install VENV=/elsewhere/venv'"
        )


def create_venv(venv: Path) -> Path:
    """Make the environment unless it is there and works; return its Python, which is this one only if it is new."""
    python = venv / 'bin' / 'python'
    works = python.is_file() and subprocess.run([str(python), '-m', 'pip', '--version'], capture_output=True)
    if not works or works.returncode:
        subprocess.run([sys.executable, '-m', 'venv', '--clear', str(venv)], check=True)
    return python


def version_of(python: Path, package: str) -> str | None:
    """The installed version of a package, without importing it."""
    query = f'from importlib.metadata import version; print(version({package!r}))'
    found = subprocess.run([str(python), '-c', query], capture_output=True, text=True)
    return found.stdout.strip() or None


def pins_beside(torch: str | None, hosts: Hosts, folder: Path) -> Path:
    """The constraints for pip: the pins, or where another torch is there already, that one and the other pins."""
    pins = hosts.pins.read_text().splitlines()
    if torch is None or f'torch==={torch}' in pins:
        return hosts.pins
    check_torch(torch, hosts)
    say(f'   keeping torch {torch}, which is here already')
    kept = [line for line in pins if not re.match(r'(torch|torchvision)=', line)]
    path = folder / 'pins.txt'
    path.write_text('\n'.join([*kept, f'torch==={torch}', '']))
    return path


def pin_of(hosts: Hosts, package: str) -> str:
    """The requirement that the pins have for a package, ``NAME==VERSION``."""
    (pin,) = (line for line in hosts.pins.read_text().splitlines() if re.match(rf'{package}=', line))
    return pin


def check_torch(torch: str, hosts: Hosts) -> None:
    """Refuse a torch that the hosts do not run beside.

    Raises:
        SystemExit: It is too old or too new.
    """
    if not hosts.torch_from <= major_and_minor(torch) < hosts.torch_before:
        oldest, beyond = ('.'.join(map(str, limit)) for limit in (hosts.torch_from, hosts.torch_before))
        raise SystemExit(
            f'The environment has torch {torch}; these packages need {oldest} or later, and before {beyond}. Install '
            "another one there, or into a new environment: 'make install VENV=.venv-new'"
        )


def wants_compiled(operators: str, python: Path, torch: str, hosts: Hosts) -> bool:
    """Whether mmcv's own operators are to be compiled beside this torch.

    Raises:
        SystemExit: They are asked for, and mmcv's sources do not compile beside it.
    """
    if major_and_minor(torch) < hosts.compiles_before:
        return operators == 'compiled' or (operators == 'auto' and can_compile_for_gpus(python))
    if operators == 'compiled':
        limit = '.'.join(map(str, hosts.compiles_before))
        raise SystemExit(
            f"mmcv's sources do not compile beside torch {torch}, but beside one before {limit}. Take one of these, or "
            "torchvision's operators: 'make install OPERATORS=torchvision'"
        )
    return False


def can_compile_for_gpus(python: Path) -> bool:
    """Whether there are a GPU, an nvcc for it and a compiler; where only the last is missing, it is said."""
    if not has_matching_nvcc(python):
        return False
    if missing := missing_compiler():
        say(f"   torchvision's operators are used: {missing}")
        return False
    return True


def major_and_minor(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split('.')[:2]))


def ensure_opencv_imports(pip: Pip) -> None:
    """On a machine without graphics libraries (libGL), use OpenCV's build that needs none."""
    if subprocess.run([str(pip.python), '-c', 'import cv2'], stderr=subprocess.DEVNULL).returncode == 0:
        return
    say('   No graphics libraries here: taking the headless build of OpenCV')
    pip.uninstall('opencv-python', 'opencv-python-headless')
    pip.install(['--no-deps', 'opencv-python-headless'])


def check_imports(python: Path) -> None:
    """Make sure that the hosts and their operators import.

    Raises:
        SystemExit: They do not; a mmcv compiled beside another torch is the usual reason.
    """
    query = 'import mmgcvit, mmcv.ops, mmdet, mmseg, mmpretrain'
    run = subprocess.run([str(python), '-W', 'ignore', '-c', query], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(
            f'{run.stderr[-2000:]}\nInstalled, but it does not import (exit code {run.returncode}); begin with a new '
            f"environment: 'rm -r {python.parent.parent}', then install again"
        )


def fingerprint(*texts: str) -> str:
    """A name for these texts that changes whenever one of them does."""
    return hashlib.sha256('\0'.join(texts).encode()).hexdigest()


def clock(seconds: float) -> str:
    """Minutes and seconds, for example 4:05."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def say(*words: object) -> None:
    print('[install]', *words, flush=True)


if __name__ == '__main__':
    main()
