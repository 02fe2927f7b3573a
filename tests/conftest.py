"""Fixtures for all tests."""

import os
import sys
from collections import OrderedDict
from pathlib import Path

# Tests that run beside each other share the cores; read when torch is imported.
if 'PYTEST_XDIST_WORKER' in os.environ:
    cores, workers = len(os.sched_getaffinity(0)), int(os.environ['PYTEST_XDIST_WORKER_COUNT'])
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, cores // workers)))

import pytest
import torch
from hypothesis import settings
from mmengine.registry import DefaultScope
from packaging.version import Version

from mmgcvit.commands.main import run_command

from .tools.commands import make_digits

# How long an example takes says nothing on a machine that others use too.
settings.register_profile('shared machine', deadline=None)
settings.load_profile('shared machine')

# What of half precision torch computes on a CPU.
HALF_DTYPES = [torch.bfloat16] + ([torch.float16] if Version(torch.__version__) >= Version('2.3') else [])
# Where tests of a `device` run: always on the CPU, and on a GPU where there is one.
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)] if torch.cuda.is_available() else ['cpu']
ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items):
    """The demos come first: they take longest, and in one process."""
    items.sort(key=lambda item: item.get_closest_marker('demo') is None)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_scope(monkeypatch):
    """No test finds the default scope of one before it: in several processes they run in any order."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())


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


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """A few digit scenes, and the same images once more in folders by class for classification."""
    out = tmp_path_factory.mktemp('data') / 'digits'
    make_digits(out)
    return out


@pytest.fixture(scope='session')
def work_dirs(tmp_path_factory):
    """One of a small model of each task."""
    from .inference.conftest import TASKS, make_work_dir

    return {task: make_work_dir(tmp_path_factory.mktemp('runs') / task, task) for task in TASKS}


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Call a command in this process, in a folder of its own; gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [])
        code = 0
        try:
            run_command(name, arguments)
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return (1, f'{printed.out}{code}') if isinstance(code, str) else (code, printed.out + printed.err)

    return call


@pytest.fixture(params=DEVICES, scope='session')
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
