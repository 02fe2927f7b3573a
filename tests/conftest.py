"""Fixtures for all tests."""

import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from packaging.version import Version

# How long an example takes says nothing on a machine that others use too.
settings.register_profile('shared machine', deadline=None)
settings.load_profile('shared machine')

# What of half precision torch computes on a CPU.
HALF_DTYPES = [torch.bfloat16] + ([torch.float16] if Version(torch.__version__) >= Version('2.3') else [])
# Where tests of a `device` run: always on the CPU, and on a GPU where there is one.
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)] if torch.cuda.is_available() else ['cpu']
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope='session', autouse=True)
def in_project_root():
    """Configs name their data relative to the project, as users start them."""
    before = Path.cwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


@pytest.fixture(scope='session')
def root():
    return ROOT


@pytest.fixture(params=DEVICES)
def device(request):
    """Every kind of device that is here, by name."""
    return request.param


@pytest.fixture(autouse=True)
def exact_products():
    """Convolutions of float32 on a GPU without TensorFloat-32, as torch's matrix products are by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def pytest_terminal_summary(terminalreporter, config):
    """With ``-m gpu`` (make test-gpu): one table in Markdown, for the docs."""
    if config.option.markexpr != 'gpu':
        return
    rows = Counter()
    for outcome in ('passed', 'failed', 'skipped', 'error'):
        for report in terminalreporter.stats.get(outcome, []):
            rows[report.nodeid.split('[')[0].removeprefix('tests/'), outcome] += 1
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'
    lines = [f'{name}, torch {torch.__version__}', '', '| test | passed | failed | skipped |', '|---|---|---|---|']
    for test in dict.fromkeys(test for test, _ in rows):
        failed = rows[test, 'failed'] + rows[test, 'error']
        lines.append(f'| {test} | {rows[test, "passed"]} | {failed} | {rows[test, "skipped"]} |')
    terminalreporter.write_line('\n'.join(lines))
