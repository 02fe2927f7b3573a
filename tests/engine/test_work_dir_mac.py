"""On a Mac, where Python spawns processes and mmengine finds an Apple GPU, a run spawns its data
workers and trains on the CPU.

Modules: `mmgcvit/engine/runner.py`.
"""

import multiprocessing
from types import SimpleNamespace

import pytest
import torch
from mmengine.device import utils
from mmengine.model import MMDistributedDataParallel
from torch import distributed, nn

from mmgcvit.engine import runner as engine_runner
from mmgcvit.engine.ranks import CPU_MODEL_WRAPPER
from mmgcvit.engine.runner import Runner
from mmgcvit.engine.setup import open_runner

from .random_training import EPOCHS, make_config


@pytest.fixture
def set_start_method():
    """Return a function that sets how Python starts processes; None is the system's default."""
    earlier = multiprocessing.get_start_method(allow_none=True)
    yield lambda method: multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_start_method(earlier, force=True)


@pytest.mark.parametrize(
    ('method', 'default', 'expected'),
    [
        (None, 'spawn', 'spawn'),  # macOS
        (None, 'fork', 'fork'),  # Linux
        (None, 'forkserver', 'fork'),  # Linux, from Python 3.14 on
        ('spawn', 'fork', 'spawn'),
        ('forkserver', 'fork', 'fork'),
    ],
)
def test_data_workers_are_spawned_where_python_spawns(
    method, default, expected, set_start_method, monkeypatch, tmp_path
):
    """The configs' ``mp_start_method='fork'`` is for other systems."""
    set_start_method(method)
    monkeypatch.setattr(engine_runner, 'get_all_start_methods', lambda: [default])
    cfg = make_config(tmp_path, EPOCHS)
    cfg.env_cfg = {'mp_cfg': {'mp_start_method': 'fork'}}
    with open_runner(cfg, None, hooks=[]) as runner:
        assert multiprocessing.get_start_method(allow_none=True) == expected
        assert runner.cfg.env_cfg.mp_cfg.mp_start_method == 'fork'


def test_a_run_trains_and_validates_on_the_cpu(monkeypatch, tmp_path):
    """torch raises an error here where a tensor is moved to an Apple GPU."""
    monkeypatch.setattr(utils, 'DEVICE', 'mps')
    cfg = make_config(tmp_path, EPOCHS, get_score=lambda: 1.0)
    with open_runner(cfg, None, hooks=[]) as runner:
        runner.train()
    assert {weight.device.type for weight in runner.model.parameters()} == {'cpu'}


def test_a_rank_is_on_the_cpu(monkeypatch, tmp_path):
    monkeypatch.setattr(utils, 'DEVICE', 'mps')
    store = distributed.FileStore(str(tmp_path / 'store'), 1)
    distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    try:
        rank = SimpleNamespace(distributed=True)
        wrapped = Runner.wrap_model(rank, dict(CPU_MODEL_WRAPPER), nn.Linear(2, 1))
        assert isinstance(wrapped, MMDistributedDataParallel)
        assert wrapped.module.weight.device == torch.device('cpu')
    finally:
        distributed.destroy_process_group()
