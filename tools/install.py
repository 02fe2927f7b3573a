"""Create the project's virtual environment: python3 tools/install.py .venv.

Does nothing where the environment is up to date, and goes on where an earlier call was interrupted. Runs on the bare
standard library. ``--hosts upstream`` takes the original OpenMMLab packages, on the torch that they need.

Environment variables:
    FORCE_CUDA   1 builds mmcv for GPUs (needs nvcc of torch's CUDA version), 0 for the CPU only. By default what the
                 environment was built with, in a new one 1 where torch finds a GPU and nvcc is there.
    MAX_JOBS     Compilers at a time while mmcv is built (default: the number of cores).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Hosts(NamedTuple):
    """One distribution of the OpenMMLab packages: its pinned versions, its extra in setup.py, its name of mmcv."""

    pins: Path
    extra: str
    mmcv: str
    newest_python: tuple[int, int]


HOSTS = {
    'maintained': Hosts(ROOT / 'pins.txt', 'hosts', 'onedl-mmcv', (3, 13)),
    'upstream': Hosts(ROOT / 'pins-upstream.txt', 'hosts-upstream', 'mmcv', (3, 11)),
}
OLDEST_PYTHON = (3, 10)
BUILD_TOOLS = ['setuptools', 'wheel', 'ninja', 'psutil']
TORCH = ['torch', 'torchvision']
SECONDS_BETWEEN_REPORTS = 20
LINES_OF_A_FAILURE = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('venv', type=Path, help='folder of the environment, for example .venv')
    parser.add_argument(
        '--hosts',
        choices=HOSTS,
        default='maintained',
        help='the maintained forks of the OpenMMLab packages, or the original ones (default: %(default)s)',
    )
    args = parser.parse_args()
    venv, hosts = args.venv.resolve(), HOSTS[args.hosts]
    stamp = venv / 'installed'
    if stamp.is_file() and stamp.read_text() == wanted_stamp(venv, hosts):
        return
    check_machine(hosts)
    stamp.unlink(missing_ok=True)
    began = time.time()
    say('Installing into', venv, '(about 3 GB to download; 15 minutes on two cores, most of them for step 3)')
    say('1 of 4: the environment and build tools (seconds)')
    python = create_venv(venv)
    pip_install(python, hosts, BUILD_TOOLS)
    say('2 of 4: torch (minutes, as fast as the network)')
    pip_install(python, hosts, TORCH, show_progress=sys.stdout.isatty())
    say('3 of 4: mmcv, whose C++ operators are compiled here (about 10 minutes on two cores, the first time)')
    install_mmcv(python, venv, hosts)
    say('4 of 4: mmengine, mmdet, mmseg, mmpretrain, and this project (a minute)')
    extras = f'{hosts.extra},benchmark,checkpoints,digits,test,lint'
    pip_install(python, hosts, ['--no-build-isolation', '--editable', f'{ROOT}[{extras}]'])
    ensure_opencv_imports(python, hosts)
    stamp.write_text(wanted_stamp(venv, hosts))
    say(f'Done in {clock(time.time() - began)}.')


def wanted_stamp(venv: Path, hosts: Hosts) -> str:
    """What an up-to-date environment says of itself."""
    deciding_files = [hosts.pins, ROOT / 'setup.py', Path(__file__)]
    return fingerprint(hosts.extra, *(path.read_text() for path in deciding_files), wanted_cuda(venv) or '')


def wanted_cuda(venv: Path) -> str | None:
    """Whether mmcv is to be built for GPUs: '1' or '0' as asked, or as before; None where nobody has said."""
    built = venv / 'mmcv-cuda'
    return os.environ.get('FORCE_CUDA') or (built.read_text() if built.is_file() else None)


def check_machine(hosts: Hosts) -> None:
    """Stop early where something is missing that pip cannot install."""
    if not OLDEST_PYTHON <= sys.version_info[:2] <= hosts.newest_python:
        oldest, newest = ('.'.join(map(str, version)) for version in (OLDEST_PYTHON, hosts.newest_python))
        raise SystemExit(
            f'Python {oldest} to {newest} is needed; this is {sys.version.split()[0]}. '
            "Name another interpreter: 'make install PYTHON=python3.11'"
        )
    advice = "on Debian or Ubuntu: 'apt-get install g++ python3-dev python3-venv'"
    if not any(shutil.which(compiler) for compiler in (os.environ.get('CXX', 'c++'), 'g++', 'clang++')):
        raise SystemExit(f'A C++ compiler is needed to build mmcv, and there is none; {advice}')
    if not (Path(sysconfig.get_paths()['include']) / 'Python.h').is_file():
        raise SystemExit(f"Python's headers (Python.h) are needed to build mmcv, and there are none; {advice}")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        raise SystemExit(f'Python comes without ensurepip, so no virtual environment can be made; {advice}') from None


def create_venv(venv: Path) -> Path:
    """Make the environment unless it is there and works; return its Python, which is this one only if it is new."""
    python = venv / 'bin' / 'python'
    works = python.is_file() and subprocess.run([str(python), '-m', 'pip', '--version'], capture_output=True)
    if not works or works.returncode:
        subprocess.run([sys.executable, '-m', 'venv', '--clear', str(venv)], check=True)
    return python


def pip_install(python: Path, hosts: Hosts, what: list[str], show_progress: bool = False) -> None:
    """Install with the pinned versions."""
    quiet = [] if show_progress else ['--quiet']
    command = [str(python), '-m', 'pip', 'install', *quiet, '--disable-pip-version-check', '-c', str(hosts.pins), *what]
    if subprocess.run(command).returncode:
        raise SystemExit(f'pip could not install {" ".join(what)}: see above. The next call goes on from here.')


def install_mmcv(python: Path, venv: Path, hosts: Hosts) -> None:
    """Install mmcv from a wheel built here.

    The wheel is kept outside the environment for the next one, under a name made of everything that it depends on:
    pip's own cache forgets torch's version, and gives out wheels that crash.
    """
    cuda = wanted_cuda(venv) or ('1' if can_build_for_gpu(python) else '0')
    key = fingerprint(pin_of(hosts, hosts.mmcv), pin_of(hosts, 'torch'), platform_of(python), cuda, *cuda_tools(cuda))
    installed = venv / 'installed-mmcv'
    if not (installed.is_file() and installed.read_text() == key):
        cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'mmgcvit' / f'mmcv-{key[:16]}'
        if not list(cache.glob('*.whl')):
            build_mmcv(python, hosts, cache, venv / 'mmcv-build.log', cuda)
        (wheel,) = cache.glob('*.whl')
        pip_install(python, hosts, ['--force-reinstall', '--no-deps', str(wheel)])
        installed.write_text(key)
    (venv / 'mmcv-cuda').write_text(cuda)


def platform_of(python: Path) -> str:
    """The interpreter and machine that compiled code of an environment is for."""
    query = 'import platform, sys; print(sys.implementation.cache_tag, platform.machine(), platform.libc_ver())'
    return subprocess.run([str(python), '-c', query], check=True, capture_output=True, text=True).stdout


def cuda_tools(cuda: str) -> list[str]:
    """What code compiled for GPUs depends on besides."""
    if cuda != '1':
        return []
    nvcc = subprocess.run(['nvcc', '--version'], capture_output=True, text=True).stdout if shutil.which('nvcc') else ''
    return [nvcc, os.environ.get('TORCH_CUDA_ARCH_LIST', '')]


def can_build_for_gpu(python: Path) -> bool:
    """Whether torch finds a GPU and there is a compiler for it."""
    query = [str(python), '-c', 'import torch; raise SystemExit(not torch.cuda.is_available())']
    if subprocess.run(query, stderr=subprocess.DEVNULL).returncode:
        return False
    if shutil.which('nvcc') is None:
        say('   There is a GPU but no nvcc: mmcv is built for the CPU only. With nvcc, FORCE_CUDA=1 make install.')
        return False
    return True


def build_mmcv(python: Path, hosts: Hosts, cache: Path, log: Path, cuda: str) -> None:
    """Compile mmcv's wheel into the cache, showing progress."""
    unfinished = cache.with_name(cache.name + f'.{os.getpid()}')
    jobs = os.environ.get('MAX_JOBS', str(os.cpu_count()))
    environment = os.environ | {'MMCV_WITH_OPS': '1', 'FORCE_CUDA': cuda, 'MAX_JOBS': jobs}
    # ninja, which compiles in parallel, is found in the environment's bin folder.
    environment['PATH'] = f'{python.parent}{os.pathsep}{environment["PATH"]}'
    command = [str(python), '-m', 'pip', 'wheel', '--verbose', '--no-deps', '--no-build-isolation', '--no-cache-dir']
    command += ['--disable-pip-version-check', '-c', str(hosts.pins), '-w', str(unfinished), pin_of(hosts, hosts.mmcv)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace'
    ) as process:
        tail = deque(report_progress(process.stdout, log), maxlen=LINES_OF_A_FAILURE)
    if process.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise SystemExit(f'{"".join(tail)}\nmmcv could not be built: see above, and all of it in {log}')
    shutil.rmtree(cache, ignore_errors=True)
    unfinished.rename(cache)


def report_progress(lines: Iterator[str], log: Path) -> Iterator[str]:
    """Write a build's lines to a log, and to the screen how far it is; pass the lines on."""
    began = reported = time.time()
    with log.open('w') as file:
        for line in lines:
            file.write(line)
            yield line
            step = re.match(r'\s*\[(\d+)/(\d+)\]', line)
            if step and time.time() - reported > SECONDS_BETWEEN_REPORTS:
                reported = time.time()
                done, total = map(int, step.groups())
                left = (reported - began) / done * (total - done)
                say(f'   {done} of {total} files compiled, about {clock(left)} left')


def ensure_opencv_imports(python: Path, hosts: Hosts) -> None:
    """On a machine without graphics libraries (libGL), use OpenCV's build that needs none."""
    if subprocess.run([str(python), '-c', 'import cv2'], stderr=subprocess.DEVNULL).returncode == 0:
        return
    say('   No graphics libraries here: taking the headless build of OpenCV')
    uninstall = [str(python), '-m', 'pip', 'uninstall', '--quiet', '--yes', 'opencv-python', 'opencv-python-headless']
    subprocess.run(uninstall, check=True)
    pip_install(python, hosts, ['--no-deps', 'opencv-python-headless'])


def pin_of(hosts: Hosts, package: str) -> str:
    """The requirement that the pins have for a package, ``NAME==VERSION``."""
    (pin,) = (line for line in hosts.pins.read_text().splitlines() if re.match(rf'{package}=', line))
    return pin


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
