"""Fixtures for all tests."""

import os
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
ROOT = Path(__file__).parent.parent


def pytest_addoption(parser):
    parser.addoption('--fuzz-seed', type=int, default=0, help='another minute of fuzzing (tests/checkpoints/fuzzer)')


@pytest.fixture
def fuzz_seed(request):
    return request.config.getoption('--fuzz-seed')


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
