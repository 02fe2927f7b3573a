"""Fixtures for all tests."""

import gc
import logging
import os
import random
import signal
import sys
from collections import OrderedDict

# Parallel test processes share the cores. torch reads OMP_NUM_THREADS when it is imported.
if 'PYTEST_XDIST_WORKER' in os.environ:
    has_affinity = hasattr(os, 'sched_getaffinity')  # macOS has none
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    workers = int(os.environ['PYTEST_XDIST_WORKER_COUNT'])
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, cores // workers)))

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from mmengine.registry import DefaultScope

from mmgcvit.commands.main import run_command
from mmgcvit.predict.load import load

from .predict.conftest import TASKS, make_work_dir, picture_of
from .programs import ROOT
from .tools.commands import make_digits

# Nothing is timed, because durations vary on a machine that others use too. Hypothesis may shrink a
# failing example for five minutes, so that is left to another profile.
untimed = {'deadline': None, 'suppress_health_check': [HealthCheck.too_slow]}
settings.register_profile('shrink', **untimed)
phases = [Phase.explicit, Phase.reuse, Phase.generate]
settings.register_profile('quick', **untimed, max_examples=50, phases=phases)
# As 100 seeds of the quick one.
settings.register_profile('long', **untimed, max_examples=5000, phases=phases)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'quick'))

# A background job of a shell ignores SIGINT, and one of nohup SIGHUP. The programs that tests start
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
    signal.signal(number, signal.SIG_DFL)

# Half-precision dtypes that torch supports on a CPU.
HALF_DTYPES = [torch.bfloat16]
if torch.__version__ >= (2, 3):
    HALF_DTYPES.append(torch.float16)
# Values of the fixture `device`: always the CPU, and a GPU if there is one.
DEVICES = ['cpu']
if torch.cuda.is_available():
    DEVICES.append(pytest.param('cuda', marks=pytest.mark.gpu))
os.chdir(ROOT)  # since data paths in configs are relative to it
FROZEN_MODULES = pytest.StashKey[int]()


def pytest_collection_modifyitems(items):
    """Run the demos first, since they take longest and share one process."""
    items.sort(key=lambda item: item.get_closest_marker('demo') is None)


def pytest_collection_finish(session):
    freeze_modules(session.config)


def pytest_runtest_teardown(item):
    """Tests import mmdet, mmseg and others, which have thousands of modules."""
    if len(sys.modules) > item.config.stash[FROZEN_MODULES] + 100:
        freeze_modules(item.config)


def freeze_modules(config):
    """Leave imported modules out of garbage collections: mmengine collects for each dataset."""
    gc.collect()
    gc.freeze()
    config.stash[FROZEN_MODULES] = len(sys.modules)


@pytest.fixture(autouse=True)
def global_state(monkeypatch):
    """Set the global state of the random generators, torch and mmengine, so that no test depends on
    those before it, or on luck.
    """
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())
    # Logging the machine and the version takes longer than the training of a small model.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr('mmengine.runner.runner.get_git_hash', str)
    # pytest would keep every record of torch.compile's log, which takes longer than compiling.
    monkeypatch.setattr(logging.getLogger('torch.__trace'), 'disabled', True)
    # On GPUs torch allows TensorFloat-32 in convolutions, and mmgcvit's commands in all products.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """Write a few digit scenes, and one image of each digit in class folders; return the folder."""
    out = tmp_path_factory.mktemp('data') / 'digits'
    make_digits(out)
    return out


@pytest.fixture(scope='session')
def work_dirs(digits, tmp_path_factory):
    """Return the work dir of a small model for each task, whose config names the digits."""
    folder = tmp_path_factory.mktemp('runs')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DIGITS', str(digits))
        return {task: make_work_dir(folder / task, task) for task in TASKS}


@pytest.fixture(scope='session')
def models(work_dirs):
    """Load a model of each task, the detector with a confidence threshold of 0."""
    models = {task: load(folder, device='cpu') for task, folder in work_dirs.items()}
    models['detection'] = load(work_dirs['detection'], device='cpu', score_thr=0.0)
    return models


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


@pytest.fixture
def model(models, task):
    return models[task]


@pytest.fixture
def work_dir(work_dirs, task):
    return work_dirs[task]


@pytest.fixture
def picture():
    """Return an image (height, width, 3) in BGR order."""
    return picture_of(90, 120)


@pytest.fixture
def photo(picture, tmp_path):
    """Write the image to a lossless file, and return its path."""
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), picture)
    return str(path)


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """Change to an empty folder, and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(empty_folder, monkeypatch, capsys):
    """Return a function that runs a command in this process, in a temporary folder; it returns exit
    code and output.
    """

    def call(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [])
        code = 0
        try:
            run_command(name, arguments)
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        if isinstance(code, str):
            return 1, printed.out + code
        return code, printed.out + printed.err

    return call


@pytest.fixture(params=DEVICES, scope='session')
def device(request):
    """Return the name of a device: cpu, and cuda if there is a GPU."""
    return request.param
