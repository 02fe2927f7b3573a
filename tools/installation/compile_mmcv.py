"""mmcv with all of its own operators, compiled for the CPU or for GPUs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from install import Pip

BUILD_TOOLS = ['setuptools', 'wheel', 'ninja', 'psutil']
GIGABYTES_PER_COMPILER = 2.5
SECONDS_BETWEEN_REPORTS = 20
LINES_OF_A_FAILURE = 30
GPU_FOUND = 'import torch; raise SystemExit(not torch.cuda.is_available())'
CUDA_OF_TORCH = 'import torch; print(torch.version.cuda)'
COMPILED = 'import mmgcvit.hosts.operators as operators; raise SystemExit(not operators.are_compiled())'


def check_compiler() -> None:
    """Stop early where no C++ can be compiled against this Python.

    Raises:
        SystemExit: There is no compiler, or Python has no headers.
    """
    missing = missing_compiler()
    if missing:
        raise SystemExit(missing)


def missing_compiler() -> str | None:
    """What mmcv's operators cannot be compiled without, in a sentence; None where nothing is missing."""
    advice = "on Debian or Ubuntu: 'apt-get install g++ python3-dev'"
    if not any(shutil.which(compiler) for compiler in (os.environ.get('CXX', 'c++'), 'g++', 'clang++')):
        return f"A C++ compiler is needed for mmcv's operators, and there is none; {advice}"
    if not (Path(sysconfig.get_paths()['include']) / 'Python.h').is_file():
        return f"Python's headers (Python.h) are needed for mmcv's operators, and there are none; {advice}"
    return None


def has_matching_nvcc(python: Path) -> bool:
    """Whether torch finds a GPU, and there is a compiler of torch's CUDA version for it."""
    if shutil.which('nvcc') is None or subprocess.run([str(python), '-c', GPU_FOUND], capture_output=True).returncode:
        return False
    nvcc = subprocess.run(['nvcc', '--version'], capture_output=True, text=True).stdout
    torch = subprocess.run([str(python), '-c', CUDA_OF_TORCH], capture_output=True, text=True).stdout
    return f'release {torch.split(".")[0]}.' in nvcc


def compile_mmcv(pip: Pip, requirement: str, log: Path, say: Callable[..., None]) -> None:
    """Put a compiled mmcv in the place of the one without operators.

    Without pip's cache, which forgets what torch a wheel was compiled beside.

    Args:
        pip: Of the environment.
        requirement: ``NAME==VERSION`` of mmcv's sources.
        log: File for the compilers' output.
        say: Takes each line for the user.

    Raises:
        SystemExit: There is no compiler, or it failed.
    """
    if subprocess.run([str(pip.python), '-c', COMPILED], capture_output=True).returncode == 0:
        return
    check_compiler()
    cuda = os.environ.get('FORCE_CUDA') or str(int(has_matching_nvcc(pip.python)))
    jobs = os.environ.get('MAX_JOBS') or str(compilers_at_a_time())
    say(f"   mmcv's operators are compiled for {'GPUs' if cuda == '1' else 'the CPU'}, {jobs} files at a time")
    pip.install(BUILD_TOOLS)
    # Of the original distribution, whose two kinds of mmcv have two names.
    pip.uninstall('mmcv-lite')
    environment = os.environ | {'MMCV_WITH_OPS': '1', 'FORCE_CUDA': cuda, 'MAX_JOBS': jobs}
    # ninja, which compiles in parallel, is found in the environment's bin folder.
    environment['PATH'] = f'{pip.python.parent}{os.pathsep}{environment["PATH"]}'
    build = ['--verbose', '--no-build-isolation', '--no-cache-dir', '--no-deps', '--force-reinstall', requirement]
    with (
        log.open('w') as file,
        subprocess.Popen(
            pip.command(build), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        reported = time.time()
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


def compilers_at_a_time() -> int:
    """As many as there are cores, and memory for: one takes about 2 GB, for the headers of torch."""
    available = re.search(r'MemAvailable:\s+(\d+) kB', Path('/proc/meminfo').read_text())
    return max(1, min(len(os.sched_getaffinity(0)), int(int(available[1]) / 1e6 / GIGABYTES_PER_COMPILER)))
