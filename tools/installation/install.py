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
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

OLDEST_PYTHON = (3, 10)
NAME_ANOTHER = "Name another interpreter: 'make install PYTHON=python3.11'"
# Here, and this file is in an older Python's language, so that it hears of it.
if sys.version_info < OLDEST_PYTHON:
    raise SystemExit(f'Python 3.10 or later is needed; this is {sys.version.split()[0]}. {NAME_ANOTHER}')

ROOT = Path(__file__).resolve().parent.parent.parent
# Written by lock.sh.
LOCKS = ROOT / 'locks'


class Hosts(NamedTuple):
    """A distribution of the OpenMMLab packages: its pins, all its packages with hashes, and what it goes with."""

    pins: Path
    lock: Path
    mmcv: str
    newest_python: tuple
    torch_from: tuple
    torch_before: tuple
    compiles_before: tuple


HOSTS = {
    'maintained': Hosts(ROOT / 'pins.txt', LOCKS / 'maintained.txt', 'onedl-mmcv', (3, 13), (2, 1), (3, 0), (2, 15)),
    # torch 2.6 reads checkpoints in another way than the original mmengine expects.
    'upstream': Hosts(ROOT / 'pins-upstream.txt', LOCKS / 'upstream.txt', 'mmcv', (3, 11), (2, 1), (2, 6), (2, 6)),
}
GIGABYTES_NEEDED = 8
# What pip says, and what it means.
REASONS = {
    'No space left on device': 'the disk is full',
    'DO NOT MATCH THE HASHES': (
        'a file is not the one that locks/ names by its SHA-256; if the package index is a mirror, ask who keeps it'
    ),
    'NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|name resolution|Network is unreachable': (
        'the package index cannot be reached; check the network, or the index that pip is configured for'
    ),
}
GIGABYTES_PER_COMPILER = 2.5
SECONDS_BETWEEN_REPORTS = 20
LINES_OF_A_FAILURE = 30


def main() -> None:
    args = parse_args()
    venv, hosts = args.venv.resolve(), HOSTS[args.hosts]
    deciding_files = [hosts.pins, hosts.lock, ROOT / 'setup.py', Path(__file__)]
    texts = [args.hosts, args.operators, *(path.read_text() for path in deciding_files)]
    wanted = hashlib.sha256('\0'.join(texts).encode()).hexdigest()
    stamp = venv / 'installed'
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    check_machine(hosts, venv)
    missing = missing_compiler()
    if args.operators == 'compiled' and missing:
        raise SystemExit(missing)
    began = time.time()
    say('Installing into', venv)
    say('1 of 3: the environment')
    python = create_venv(venv)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = version_of(python, 'torch')
        pip = Pip(python, pins_beside(kept, hosts, Path(folder)))
        say(f'2 of 3, after {minutes_since(began)}: mmengine, mmcv, mmdet, mmseg, mmpretrain and their needs, 0.4 GB')
        pip.install(['--no-deps', '--require-hashes', '--requirement', str(hosts.lock)])
        say(f'3 of 3, after {minutes_since(began)}: {"" if kept else "torch, 2.7 GB, and "}this project')
        pip.install(['torch', 'torchvision'], show_progress=sys.stdout.isatty())
        torch = version_of(python, 'torch')
        check_torch(torch, hosts)
        compiled = wants_compiled(args.operators, python, torch, hosts)
        pip.install(['--no-deps', '--editable', str(ROOT)])
        if compiled:
            (pin,) = (line for line in hosts.pins.read_text().splitlines() if line.startswith(f'{hosts.mmcv}='))
            compile_mmcv(pip, pin, venv / 'mmcv-build.log')
        ensure_opencv_imports(pip)
    compile_bytecode(python)
    check_imports(python)
    stamp.write_text(wanted)
    say(f'Done in {minutes_since(began)}.')


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


def say(*words: object) -> None:
    print('[install]', *words, flush=True)


def minutes_since(began: float) -> str:
    seconds = int(time.time() - began)
    return f'{seconds // 60}:{seconds % 60:02d}'


def ask(python: Path, code: str) -> subprocess.CompletedProcess:
    """Run a line of code by the environment's Python."""
    return subprocess.run([str(python), '-W', 'ignore', '-c', code], capture_output=True, text=True)


class Pip:
    """pip of an environment, with constraints."""

    def __init__(self, python: Path, pins: Path) -> None:
        self.python = python
        self.pins = pins

    def command(self, what: Sequence[str]) -> 'list[str]':
        """The call that installs."""
        call = [str(self.python), '-m', 'pip', 'install', '--disable-pip-version-check', '-c', str(self.pins)]
        # What is imported is a small part of it all: compile_bytecode.
        return [*call, '--no-compile', *what]

    def install(self, what: Sequence[str], show_progress: bool = False) -> None:
        """Install; pip's own words are shown, and after a failure their meaning."""
        command = self.command([*([] if show_progress else ['--quiet']), *what])
        said = []
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors='replace') as process:
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
    """Stop early where something is missing that pip cannot install: Python, ensurepip, room for a new environment."""
    if sys.version_info[:2] > hosts.newest_python:
        newest = '.'.join(map(str, hosts.newest_python))
        raise SystemExit(f'Python 3.10 to {newest} is needed; this is {sys.version.split()[0]}. {NAME_ANOTHER}')
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
    if not python.is_file() or ask(python, 'import pip').returncode:
        subprocess.run([sys.executable, '-m', 'venv', '--clear', str(venv)], check=True)
    return python


def version_of(python: Path, package: str) -> 'str | None':
    """The installed version of a package, without importing it."""
    query = f'from importlib.metadata import version; print(version({package!r}))'
    return ask(python, query).stdout.strip() or None


def pins_beside(torch: 'str | None', hosts: Hosts, folder: Path) -> Path:
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


def major_and_minor(version: str) -> tuple:
    return tuple(map(int, version.split('.')[:2]))


def check_torch(torch: str, hosts: Hosts) -> None:
    """Refuse a torch that the hosts do not run beside."""
    if not hosts.torch_from <= major_and_minor(torch) < hosts.torch_before:
        oldest, beyond = ('.'.join(map(str, limit)) for limit in (hosts.torch_from, hosts.torch_before))
        raise SystemExit(
            f'The environment has torch {torch}; these packages need {oldest} or later, and before {beyond}. Install '
            "another one there, or into a new environment: 'make install VENV=.venv-new'"
        )


def wants_compiled(operators: str, python: Path, torch: str, hosts: Hosts) -> bool:
    """Whether mmcv's own operators are to be compiled beside this torch: where asked for, or for a GPU."""
    if major_and_minor(torch) >= hosts.compiles_before:
        if operators == 'compiled':
            limit = '.'.join(map(str, hosts.compiles_before))
            raise SystemExit(
                f"mmcv's sources do not compile beside torch {torch}, but beside one before {limit}. Take one of "
                "these, or torchvision's operators: 'make install OPERATORS=torchvision'"
            )
        return False
    if operators != 'auto' or not has_matching_nvcc(python):
        return operators == 'compiled'
    missing = missing_compiler()
    if missing:
        say(f"   torchvision's operators are used: {missing}")
    return not missing


def missing_compiler() -> 'str | None':
    """What mmcv's operators cannot be compiled without, in a sentence; None where nothing is missing."""
    advice = "on Debian or Ubuntu: 'apt-get install g++ python3-dev'"
    if not any(shutil.which(compiler) for compiler in (os.environ.get('CXX', 'c++'), 'g++', 'clang++')):
        return f"A C++ compiler is needed for mmcv's operators, and there is none; {advice}"
    if not (Path(sysconfig.get_paths()['include']) / 'Python.h').is_file():
        return f"Python's headers (Python.h) are needed for mmcv's operators, and there are none; {advice}"
    return None


def has_matching_nvcc(python: Path) -> bool:
    """Whether torch finds a GPU, and there is a compiler of torch's CUDA version for it."""
    torch = ask(python, 'import torch; print(torch.version.cuda) if torch.cuda.is_available() else exit(1)')
    if shutil.which('nvcc') is None or torch.returncode:
        return False
    nvcc = subprocess.run(['nvcc', '--version'], capture_output=True, text=True).stdout
    return f'release {torch.stdout.split(".")[0]}.' in nvcc


def compilers_at_a_time() -> int:
    """As many as there are cores, and memory for: one takes about 2 GB, for the headers of torch."""
    available = re.search(r'MemAvailable:\s+(\d+) kB', Path('/proc/meminfo').read_text())
    return max(1, min(len(os.sched_getaffinity(0)), int(int(available[1]) / 1e6 / GIGABYTES_PER_COMPILER)))


def compile_mmcv(pip: Pip, requirement: str, log: Path) -> None:
    """Put a mmcv with all of its operators, compiled from its sources, in the place of the one without.

    Without pip's cache, which forgets what torch a wheel was compiled beside.
    """
    if not ask(pip.python, 'import mmgcvit.ops.compiled as o; raise SystemExit(not o.are_compiled())').returncode:
        return
    cuda = os.environ.get('FORCE_CUDA') or str(int(has_matching_nvcc(pip.python)))
    jobs = os.environ.get('MAX_JOBS') or str(compilers_at_a_time())
    say(f"   mmcv's operators are compiled for {'GPUs' if cuda == '1' else 'the CPU'}, {jobs} files at a time")
    pip.install(['setuptools', 'wheel', 'ninja', 'psutil'])
    # Of the original distribution, whose two kinds of mmcv have two names.
    pip.uninstall('mmcv-lite')
    # ninja, which compiles in parallel, is found in the environment's bin folder.
    path = f'{pip.python.parent}{os.pathsep}{os.environ["PATH"]}'
    environment = {**os.environ, 'MMCV_WITH_OPS': '1', 'FORCE_CUDA': cuda, 'MAX_JOBS': jobs, 'PATH': path}
    options = ['--verbose', '--no-build-isolation', '--no-cache-dir', '--no-deps', '--force-reinstall']
    build = {'args': pip.command([*options, requirement]), 'env': environment, 'text': True}
    reported = time.time()
    with log.open('w') as file, subprocess.Popen(**build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            file.write(line)
            step = re.match(r'\s*\[(\d+)/(\d+)\]', line)
            if step and time.time() - reported > SECONDS_BETWEEN_REPORTS:
                reported = time.time()
                say(f'   {step[1]} of {step[2]} files compiled')
    if process.returncode:
        last = ''.join(log.read_text(errors='replace').splitlines(keepends=True)[-LINES_OF_A_FAILURE:])
        raise SystemExit(
            f"{last}\nmmcv could not be compiled: see above, and all of it in {log}. 'make install "
            "OPERATORS=torchvision' does without"
        )


def ensure_opencv_imports(pip: Pip) -> None:
    """On a machine without graphics libraries (libGL), use OpenCV's build that needs none."""
    if ask(pip.python, 'import cv2').returncode:
        say('   No graphics libraries here: taking the headless build of OpenCV')
        pip.uninstall('opencv-python', 'opencv-python-headless')
        pip.install(['--no-deps', 'opencv-python-headless'])


def compile_bytecode(python: Path) -> None:
    """Compile the hosts, in seconds; where nobody may write, each start would. The rest: docs/installation.md."""
    site = ask(python, 'import sysconfig; print(sysconfig.get_paths()["purelib"])').stdout.strip()
    folders = [f'{site}/{host}' for host in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')]
    # Below .mim are configs, which are read.
    subprocess.run([str(python), '-m', 'compileall', '-qq', '-j', '0', '-x', r'/\.mim/', *folders])


def check_imports(python: Path) -> None:
    """Make sure that the hosts and their operators import; a mmcv compiled beside another torch is a usual reason."""
    run = ask(python, 'import mmgcvit, mmcv.ops, mmdet, mmseg, mmpretrain')
    if run.returncode:
        raise SystemExit(
            f'{run.stderr[-2000:]}\nInstalled, but it does not import (exit code {run.returncode}); begin with a new '
            f"environment: 'rm -r {python.parent.parent}', then install again"
        )


if __name__ == '__main__':
    main()
