"""The installed packages have the private API that mmgcvit/private_api.py uses, and it does what is needed."""

from importlib.util import find_spec
from inspect import getmembers, isfunction
from math import inf
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, Runner
from mmengine.visualization import LocalVisBackend, Visualizer
from mmpretrain.models import ClsHead, LinearClsHead, MultiLabelLinearClsHead
from packaging.version import Version
from torch import nn
from torch.utils.data import DataLoader

from mmgcvit import private_api
from mmgcvit.private_api import (
    compute_norms,
    enables_cuda_graphs,
    get_accumulation_steps,
    get_checkpoint_loader,
    get_randomness,
    get_resume_settings,
    is_converting_channels,
    list_vis_backends,
    patch_compiler,
    predicts_softmax,
    stop_workers,
)

from .inference.conftest import TASKS

needs_compiler = pytest.mark.skipif(Version(torch.__version__) < Version('2.6'), reason='CompileBackboneHook needs 2.6')


def make_runner(work_dir, **settings):
    return Runner(nn.Linear(1, 1), str(work_dir), experiment_name=str(work_dir), **settings)


def test_a_runner_gives_its_arguments_resume_load_from_and_randomness(tmp_path):
    runner = make_runner(tmp_path, resume=True, load_from='a.pth', randomness={'seed': 3, 'diff_rank_seed': True})
    assert get_resume_settings(runner) == (True, 'a.pth')
    assert get_randomness(runner) == {'seed': 3, 'diff_rank_seed': True}


def test_a_replaced_checkpoint_loader_can_be_restored():
    before = get_checkpoint_loader('')
    CheckpointLoader.register_scheme('', print, force=True)
    try:
        assert get_checkpoint_loader('') is print
    finally:
        CheckpointLoader.register_scheme('', before, force=True)
    assert get_checkpoint_loader('') is before


def test_an_optim_wrapper_gives_its_accumulation_steps():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1)
    assert get_accumulation_steps(OptimWrapper(optimizer)) == 1
    assert get_accumulation_steps(OptimWrapper(optimizer, accumulative_counts=4)) == 4


def test_a_visualizer_lists_its_backends(tmp_path):
    (backend,) = list_vis_backends(Visualizer(vis_backends=[{'type': 'LocalVisBackend'}], save_dir=str(tmp_path)))
    assert isinstance(backend, LocalVisBackend)


def test_stopped_persistent_workers_start_again():
    loader = DataLoader([0, 1], num_workers=1, persistent_workers=True)
    first = iter(loader)
    assert iter(loader) is first
    stop_workers(loader)
    assert iter(loader) is not first


def test_norms_are_those_of_each_tensor():
    assert torch.stack(list(compute_norms([torch.tensor([3.0, 4.0]), torch.tensor([-inf])]))).tolist() == [5, inf]
    assert list(compute_norms([])) == []


@needs_compiler
def test_options_of_the_compiler_that_enable_cuda_graphs():
    for options in ({'mode': 'reduce-overhead'}, {'options': {'triton.cudagraphs': True}}, {'backend': 'cudagraphs'}):
        assert enables_cuda_graphs(options), options
    assert not enables_cuda_graphs({'dynamic': True})
    with pytest.raises(RuntimeError, match='Unrecognized mode'):
        enables_cuda_graphs({'mode': 'fast'})


@needs_compiler
def test_settings_of_the_compiler_are_changed_and_restored():
    from torch._dynamo import config

    before = config.cache_size_limit, config.optimize_ddp
    with patch_compiler(cache_size_limit=before[0] + 1, optimize_ddp=False):
        assert (config.cache_size_limit, config.optimize_ddp) == (before[0] + 1, False)
    assert (config.cache_size_limit, config.optimize_ddp) == before


@pytest.mark.parametrize('task', TASKS)
def test_a_preprocessor_of_each_task_has_a_mean_and_converts_channels(models, task):
    preprocessor = models[task].network.data_preprocessor
    assert preprocessor.mean.shape == (3, 1, 1)
    assert is_converting_channels(preprocessor)
    plain = type(preprocessor)()
    assert not hasattr(plain, 'mean')
    assert not is_converting_channels(plain)


def test_only_heads_that_predict_as_cls_head_predict_softmax():
    class Sigmoid(ClsHead):
        def _get_predictions(self, cls_score, data_samples):
            return cls_score.sigmoid()

    assert predicts_softmax(LinearClsHead(num_classes=2, in_channels=1))
    assert not any(map(predicts_softmax, (Sigmoid(), MultiLabelLinearClsHead(num_classes=2, in_channels=1), None)))


@pytest.mark.parametrize(
    ('file', 'message'),
    [
        ('mmengine/runner/runner.py', 'System environment:'),
        ('mmengine/runner/runner.py', 'Config:\\n'),
        ('mmengine/runner/runner.py', 'Hooks will be executed'),
        ('mmengine/runner/runner.py', 'skip saving parameter schedulers'),
        ('mmengine/optim/optimizer/default_constructor.py', 'paramwise_options --'),
        ('mmengine/registry/registry.py', 'Failed to search registry with scope'),
        ('mmengine/utils/manager.py', 'instance named of'),
        ('mmengine/fileio/file_client.py', '"FileClient" will be deprecated'),
        ('mmengine/fileio/file_client.py', '"HardDiskBackend" is the alias'),
        ('mmengine/evaluator/metric.py', 'The prefix is not set in metric class'),
        ('mmdet/models/losses/cross_entropy_loss.py', 'Default ``avg_non_ignore`` is False'),
        ('mmseg/datasets/transforms/loading.py', '`reduce_zero_label` will be deprecated'),
        ('torch/utils/data/dataloader.py', "'pin_memory' argument is set as true but no accelerator"),
    ],
)
def test_hidden_messages_are_still_written(file, message):
    if file.startswith('torch/') and Version(torch.__version__) < Version('2.8'):
        pytest.skip('earlier versions do not say so')
    package, _, path = file.partition('/')
    assert message in (Path(find_spec(package).origin).parent / path).read_text()


def test_each_function_is_tested_here():
    names = {name for name, value in getmembers(private_api, isfunction) if value.__module__ == private_api.__name__}
    assert names <= set(globals())
