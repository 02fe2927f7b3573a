"""Install the project into a virtual environment: python3 tools/installation/install.py .venv.

It does nothing if the environment is up to date, continues an interrupted installation, and keeps a
torch that is already installed. It needs only the standard library.

Environment variables for compiled operators:
    FORCE_CUDA   1 compiles mmcv for GPUs (needs nvcc of torch's CUDA version), 0 for the CPU only.
                 Default: 1 if torch finds a GPU and nvcc matches, else 0.
    MAX_JOBS     Number of parallel compilers (default: as many as cores and memory allow).
"""

import argparse
import hashlib
import os
import platform
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
# uv in an environment of its own: many systems allow pip in no other place.
PYTHON_ADVICE = (
    "Name another interpreter: 'make install PYTHON=python3.11'. Where the system has none: "
    "'python3 -m venv build/uv', 'build/uv/bin/pip install uv', 'build/uv/bin/uv python install "
    "3.13', and 'make install PYTHON=$(build/uv/bin/uv python find 3.13)'"
)
# Checked at import. This file avoids newer syntax, so that older Pythons can parse it and show this
# message.
if sys.version_info < OLDEST_PYTHON:
    raise SystemExit(
        f'Python 3.10 or later is needed; this is {sys.version.split()[0]}. {PYTHON_ADVICE}'
    )

ROOT = Path(__file__).resolve().parent.parent.parent
# The lock files, which lock.sh writes.
LOCKS = ROOT / 'locks'


# The processors that torch has wheels for, by platform.system().
PROCESSORS = {'Linux': ('x86_64', 'aarch64'), 'Darwin': ('arm64',)}

Version = tuple[int, int]  # major and minor


class Distribution(NamedTuple):
    """A distribution of the OpenMMLab packages, and the versions of Python and torch that it works
    with.
    """

    pins: Path  # pinned versions, which are constraints for pip
    lock: Path  # requirements with hashes, without torch
    mmcv: str  # name of the mmcv package that can be compiled
    newest_python: Version
    oldest_glibc: Version  # that the pinned torch runs with
    oldest_torch: Version
    torch_limit: Version  # the first version of torch that does not work
    compile_limit: Version  # the first version of torch with which mmcv does not compile


DISTRIBUTIONS = {
    'maintained': Distribution(
        pins=ROOT / 'pins.txt',
        lock=LOCKS / 'maintained.txt',
        mmcv='onedl-mmcv',
        newest_python=(3, 14),
        oldest_glibc=(2, 28),
        oldest_torch=(2, 1),
        torch_limit=(3, 0),
        compile_limit=(2, 14),
    ),
    # torch 2.6 made weights_only=True the default of torch.load, which the original mmengine does
    # not expect.
    'upstream': Distribution(
        pins=ROOT / 'pins-upstream.txt',
        lock=LOCKS / 'upstream.txt',
        mmcv='mmcv',
        newest_python=(3, 11),
        oldest_glibc=(2, 17),
        oldest_torch=(2, 1),
        torch_limit=(2, 6),
        compile_limit=(2, 6),
    ),
}
# An environment takes 6.8 GB with the packages of the documentation, or 6.1 GB with the originals.
GIGABYTES_NEEDED = 7
# Patterns in pip's errors, and their explanations.
PIP_ERRORS = {
    'No space left on device': 'the disk is full',
    'DO NOT MATCH THE HASHES': (
        'the SHA-256 of a file differs from the one in locks/; if the package index is a mirror, '
        'ask its administrator'
    ),
    'NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|name resolution'
    '|Network is unreachable': (
        'the package index cannot be reached; check the network, or the index that pip is '
        'configured for'
    ),
}
GIGABYTES_PER_COMPILER = 2.5
SECONDS_BETWEEN_REPORTS = 20
MAX_LINES_SHOWN = 30


def main() -> None:
    args = parse_args()
    venv, distribution = args.venv.resolve(), DISTRIBUTIONS[args.openmmlab]
    checksum = compute_checksum(args.openmmlab, args.operators, distribution)
    stamp = venv / 'installed'
    if stamp.is_file() and stamp.read_text() == checksum:
        return
    check_machine(distribution, venv)
    missing = find_missing_compiler()
    if args.operators == 'compiled' and missing:
        raise SystemExit(missing)
    start_time = time.time()
    say('Installing into', venv)
    say('1 of 3: the environment')
    python = create_venv(venv)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        kept_torch = get_version(python, 'torch')
        if kept_torch is None:
            check_wheels(distribution, venv)
        pip = Pip(python, write_constraints(kept_torch, distribution, Path(folder)))
        elapsed = format_elapsed(start_time)
        say(f'2 of 3, after {elapsed}: the OpenMMLab packages and their dependencies, 0.4 GB')
        pip.install(['--no-deps', '--require-hashes', '--requirement', str(distribution.lock)])
        elapsed = format_elapsed(start_time)
        torch_size = '' if kept_torch else 'torch, 2.7 GB, and '
        say(f'3 of 3, after {elapsed}: {torch_size}this project')
        pip.install(['torch', 'torchvision'], show_progress=sys.stdout.isatty())
        torch = get_version(python, 'torch')
        check_torch(torch, distribution)
        is_compiled = should_compile(args.operators, python, torch, distribution)
        pip.install(['--no-deps', '--editable', str(ROOT)])
        if is_compiled:
            lines = distribution.pins.read_text().splitlines()
            (pin,) = (line for line in lines if line.startswith(f'{distribution.mmcv}='))
            compile_mmcv(pip, pin, venv / 'mmcv-build.log')
        ensure_opencv_imports(pip)
    compile_bytecode(python)
    check_imports(python)
    stamp.write_text(checksum)
    say(f'Done in {format_elapsed(start_time)}.')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('venv', type=Path, help='folder of the environment, for example .venv')
    parser.add_argument(
        '--openmmlab',
        choices=DISTRIBUTIONS,
        default='maintained',
        help='the maintained forks of the OpenMMLab packages, or the original packages '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--operators',
        choices=['auto', 'torchvision', 'compiled'],
        default='auto',
        help="mmcv's operators: replaced by torchvision's, which needs no compiler, or compiled "
        'here; auto compiles if there is a GPU and a matching nvcc (default: %(default)s)',
    )
    return parser.parse_args()


def compute_checksum(openmmlab: str, operators: str, distribution: Distribution) -> str:
    """Return a checksum of everything that an installation depends on."""
    inputs = [distribution.pins, distribution.lock, ROOT / 'setup.py', Path(__file__)]
    texts = [openmmlab, operators, *(path.read_text() for path in inputs)]
    return hashlib.sha256('\0'.join(texts).encode()).hexdigest()


def say(*words: object) -> None:
    print('[install]', *words, flush=True)


def format_elapsed(start_time: float) -> str:
    """Return the time since ``start_time`` as minutes:seconds."""
    seconds = int(time.time() - start_time)
    return f'{seconds // 60}:{seconds % 60:02d}'


def run_code(python: Path, code: str) -> subprocess.CompletedProcess:
    """Run a line of code with the environment's Python."""
    return subprocess.run([str(python), '-W', 'ignore', '-c', code], capture_output=True, text=True)


class Pip:
    """The pip of an environment, with version constraints."""

    def __init__(self, python: Path, pins: Path):
        self.python = python
        self.pins = pins

    def command(self, arguments: Sequence[str]) -> 'list[str]':
        """Return the command line of pip install with these arguments."""
        command = [str(self.python), '-m', 'pip', 'install', '--disable-pip-version-check']
        # Only a small part of the installed files is ever imported; compile_bytecode compiles that
        # part.
        return [*command, '-c', str(self.pins), '--no-compile', *arguments]

    def install(self, arguments: Sequence[str], show_progress: bool = False) -> None:
        """Run pip install. Show pip's errors, and explain a failure."""
        command = self.command(arguments)
        if not show_progress:
            command.append('--quiet')
        errors = ''
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, errors='replace'
        ) as process:
            for line in process.stderr:
                errors += line
                sys.stderr.write(line)
        if process.returncode:
            raise SystemExit(
                f'pip could not install {" ".join(arguments)}: {explain_pip_errors(errors)}. '
                'Call again to continue from here.'
            )

    def uninstall(self, *packages: str) -> None:
        """Uninstall packages if they are installed."""
        command = [str(self.python), '-m', 'pip', 'uninstall', '--quiet', '--yes', *packages]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def explain_pip_errors(errors: str) -> str:
    for pattern, reason in PIP_ERRORS.items():
        if re.search(pattern, errors):
            return reason
    return 'see above'


def check_machine(distribution: Distribution, venv: Path) -> None:
    """Stop early if something is missing that pip cannot install: a system with the calls of Unix,
    Python, or disk space.
    """
    if platform.system() == 'Windows':
        raise SystemExit(
            'mmgcvit runs on Linux and macOS. On Windows, install it in WSL 2: '
            'docs/installation.md, "Windows"'
        )
    if sys.version_info[:2] > distribution.newest_python:
        newest = format_version(distribution.newest_python)
        raise SystemExit(
            f'Python 3.10 to {newest} is needed; this is {sys.version.split()[0]}. {PYTHON_ADVICE}'
        )
    if venv.exists():
        return
    existing = next(folder for folder in venv.parents if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if free < GIGABYTES_NEEDED:
        raise SystemExit(
            f'{existing} has {free:.1f} GB free, and a new environment takes about '
            f'{GIGABYTES_NEEDED}. Free space, or choose another folder: '
            "'make install VENV=/elsewhere/venv'"
        )


def check_wheels(distribution: Distribution, venv: Path) -> None:
    """Stop if torch has no wheel for this system."""
    system, processor = platform.system(), platform.machine()
    glibc = format_version(distribution.oldest_glibc)
    library, version = platform.libc_ver()
    advice = (
        "Use a newer Debian, Ubuntu or other Linux with it, also in a container: 'docker run -it "
        "debian:13'"
    )
    if sys.maxsize < 2**32:
        found, advice = 'a Python of 32 bits', 'Use one of 64 bits'
    elif processor not in PROCESSORS.get(system, ()):
        found, advice = f'{system} on {processor}', 'Use another machine'
    elif system == 'Linux' and library != 'glibc':
        found = 'a Linux without glibc, such as Alpine'
    elif system == 'Linux' and parse_version(version) < distribution.oldest_glibc:
        found = f'glibc {version}'
    else:
        return
    raise SystemExit(
        f'torch has no wheels for {found}, but for Linux with glibc {glibc} or later on x86-64 and '
        f'aarch64, and for macOS 14 or later on Apple silicon. {advice}, or install a torch of '
        f'your own into {venv} first, which is kept'
    )


def create_venv(venv: Path) -> Path:
    """Create the environment unless it works already; return its Python, which may be another
    version than this one.
    """
    python = venv / 'bin' / 'python'
    if python.is_file() and not run_code(python, 'import pip').returncode:
        return python
    # If Python cannot create environments (on Debian and Ubuntu without python3-venv), it says what
    # to install.
    if subprocess.run([sys.executable, '-m', 'venv', '--clear', str(venv)]).returncode:
        raise SystemExit(f'The environment {venv} could not be created: see above')
    return python


def get_version(python: Path, package: str) -> 'str | None':
    """Return the installed version of a package, without importing it, or None."""
    query = f'from importlib.metadata import version; print(version({package!r}))'
    return run_code(python, query).stdout.strip() or None


def write_constraints(torch: 'str | None', distribution: Distribution, folder: Path) -> Path:
    """Return a file of constraints for pip: the pins, with the installed version of torch if there
    is one.
    """
    pins = distribution.pins.read_text().splitlines()
    if torch is None or f'torch==={torch}' in pins:
        return distribution.pins
    check_torch(torch, distribution)
    say(f'   keeping torch {torch}, which is already installed')
    other_pins = [line for line in pins if not re.match(r'(torch|torchvision)=', line)]
    path = folder / 'pins.txt'
    path.write_text('\n'.join([*other_pins, f'torch==={torch}', '']))
    return path


def parse_version(version: str) -> Version:
    """Return the major and minor version."""
    major, minor = version.split('.')[:2]
    return int(major), int(minor)


def format_version(version: Version) -> str:
    return '.'.join(map(str, version))


def check_torch(torch: str, distribution: Distribution) -> None:
    """Stop if the OpenMMLab packages do not work with this version of torch."""
    if not distribution.oldest_torch <= parse_version(torch) < distribution.torch_limit:
        raise SystemExit(
            f'The environment has torch {torch}; these packages need '
            f'{format_version(distribution.oldest_torch)} or later, and before '
            f'{format_version(distribution.torch_limit)}. Install another torch there, or use a '
            "new environment: 'make install VENV=.venv-new'"
        )


def should_compile(operators: str, python: Path, torch: str, distribution: Distribution) -> bool:
    """Return whether to compile mmcv's operators: if requested, or if there is a GPU and everything
    to compile them.
    """
    if parse_version(torch) >= distribution.compile_limit:
        if operators == 'compiled':
            raise SystemExit(
                f'mmcv does not compile with torch {torch}, only with versions before '
                f'{format_version(distribution.compile_limit)}. Install such a version, or use '
                "torchvision's operators: 'make install OPERATORS=torchvision'"
            )
        return False
    if operators != 'auto':
        return operators == 'compiled'
    if not has_matching_nvcc(python):
        return False
    missing = find_missing_compiler()
    if missing:
        say(f"   torchvision's operators are used: {missing}")
    return not missing


def find_missing_compiler() -> 'str | None':
    """Return an error message if the C++ compiler or Python's headers are missing, else None."""
    advice = "on Debian or Ubuntu: 'apt-get install g++ python3-dev'"
    compilers = [os.environ.get('CXX', 'c++'), 'g++', 'clang++']
    if not any(map(shutil.which, compilers)):
        return f"mmcv's operators need a C++ compiler, which is not installed; {advice}"
    if not (Path(sysconfig.get_paths()['include']) / 'Python.h').is_file():
        return (
            f"mmcv's operators need Python's headers (Python.h), which are not installed; {advice}"
        )
    return None


def has_matching_nvcc(python: Path) -> bool:
    """Return whether torch finds a GPU and nvcc has the major CUDA version of torch."""
    query = 'import torch; print(torch.version.cuda) if torch.cuda.is_available() else exit(1)'
    cuda = run_code(python, query)
    if shutil.which('nvcc') is None or cuda.returncode:
        return False
    nvcc = subprocess.run(['nvcc', '--version'], capture_output=True, text=True).stdout
    major = cuda.stdout.split('.')[0]
    return f'release {major}.' in nvcc


def count_compilers() -> int:
    """Return how many compilers cores and memory allow in parallel; one needs about 2 GB, for
    torch's headers.
    """
    if not Path('/proc/meminfo').is_file():  # not Linux
        return 1
    available = re.search(r'MemAvailable:\s+(\d+) kB', Path('/proc/meminfo').read_text())
    gigabytes = int(available[1]) / 1e6
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, int(gigabytes / GIGABYTES_PER_COMPILER)))


def compile_mmcv(pip: Pip, requirement: str, log: Path) -> None:
    """Replace mmcv without operators by mmcv with all operators, compiled from source.

    pip's cache is not used, because it does not record the torch version that a wheel was compiled
    with.
    """
    query = 'from importlib.util import find_spec; exit(find_spec("mmcv._ext") is None)'
    if run_code(pip.python, query).returncode == 0:
        return
    cuda = os.environ.get('FORCE_CUDA') or str(int(has_matching_nvcc(pip.python)))
    jobs = os.environ.get('MAX_JOBS') or str(count_compilers())
    device = 'GPUs' if cuda == '1' else 'the CPU'
    say(f"   compiling mmcv's operators for {device}, {jobs} files in parallel")
    pip.install(['setuptools', 'wheel', 'ninja', 'psutil'])
    # In the original distribution, mmcv without operators is a separate package.
    pip.uninstall('mmcv-lite')
    # ninja, which compiles in parallel, is in the environment's bin folder.
    path = f'{pip.python.parent}{os.pathsep}{os.environ["PATH"]}'
    settings = {'MMCV_WITH_OPS': '1', 'FORCE_CUDA': cuda, 'MAX_JOBS': jobs, 'PATH': path}
    options = ['--verbose', '--no-build-isolation', '--no-cache-dir', '--no-deps']
    build = subprocess.Popen(
        pip.command([*options, '--force-reinstall', requirement]),
        env={**os.environ, **settings},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    last_report = time.time()
    with log.open('w') as file, build as process:
        for line in process.stdout:
            file.write(line)
            step = re.match(r'\s*\[(\d+)/(\d+)\]', line)
            if step and time.time() - last_report > SECONDS_BETWEEN_REPORTS:
                last_report = time.time()
                say(f'   {step[1]} of {step[2]} files compiled')
    if process.returncode:
        lines = log.read_text(errors='replace').splitlines(keepends=True)
        tail = ''.join(lines[-MAX_LINES_SHOWN:])
        raise SystemExit(
            f'{tail}\nmmcv could not be compiled: see above, or the full log in {log}. '
            "'make install OPERATORS=torchvision' needs no compiler"
        )


def ensure_opencv_imports(pip: Pip) -> None:
    """Use the headless build of OpenCV if cv2 cannot be imported, as on machines without graphics
    libraries (libGL).
    """
    if run_code(pip.python, 'import cv2').returncode:
        say('   This machine has no graphics libraries: installing opencv-python-headless')
        pip.uninstall('opencv-python', 'opencv-python-headless')
        pip.install(['--no-deps', 'opencv-python-headless'])


def compile_bytecode(python: Path) -> None:
    """Compile the OpenMMLab packages to bytecode, which takes seconds.

    Otherwise each start would compile them if the folder is read-only. docs/installation.md
    explains other packages.
    """
    query = 'import sysconfig; print(sysconfig.get_paths()["purelib"])'
    site_packages = run_code(python, query).stdout.strip()
    packages = ['mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain']
    folders = [f'{site_packages}/{package}' for package in packages]
    # Files in .mim are configs, which are parsed and never imported.
    options = ['-qq', '-j', '0', '-x', r'/\.mim/']
    command = [str(python), '-W', 'ignore', '-m', 'compileall', *options, *folders]
    subprocess.run(command)


def check_imports(python: Path) -> None:
    """Check that the OpenMMLab packages and mmcv's operators can be imported.

    The import often fails if mmcv was compiled with another version of torch.
    """
    process = run_code(python, 'import mmgcvit, mmcv.ops, mmdet, mmseg, mmpretrain')
    if process.returncode:
        raise SystemExit(
            f'{process.stderr[-2000:]}\nThe installed packages cannot be imported (exit code '
            f'{process.returncode}); start with a new environment: '
            f"'rm -r {python.parent.parent}', then install again"
        )


if __name__ == '__main__':
    main()
