"""Hostile and damaged files through every way in: none runs code, crashes, ends unclear, or is changed and accepted."""

import subprocess
import sys

import pytest

from ..conftest import ROOT

HOURS = 60 / 3600


@pytest.mark.slow
@pytest.mark.long
def test_a_minute_of_fuzzing(tmp_path, fuzz_seed):
    command = [
        sys.executable,
        '-m',
        'tests.checkpoints.fuzzer',
        '--hours',
        HOURS,
        '--seed',
        fuzz_seed,
        '--keep',
        tmp_path,
    ]
    run = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    assert ' 0 failed' in run.stdout
