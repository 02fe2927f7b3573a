"""The compiled backbone keeps the keys of checkpoints, and compiles to few graphs, also in several processes."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from packaging.version import Version
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmgcvit import GCViT
from mmgcvit.errors import UserError
from mmgcvit.registry import HOOKS

from ..models.contract.backbones import GCVIT
from ..processes import run_on_ranks


@pytest.mark.skipif(Version(torch.__version__) < Version('2.4'), reason='the backbone compiles from torch 2.4 on')
def test_the_backbone_is_one_graph_and_the_keys_stay():
    model = nn.Module()
    model.backbone, model.head = GCViT(GCVIT), nn.Conv2d(64, 1, 1)
    model.eval()
    images, keys, graphs = torch.rand(1, 3, 64, 64), list(model.state_dict()), []
    expected = model.backbone(images)

    def record_graph(graph, _):
        graphs.append(graph)
        return graph

    hook, runner = HOOKS.build({'type': 'CompileBackboneHook', 'backend': record_graph}), SimpleNamespace(model=model)
    hook.before_train(runner)
    for output, value in zip(model.backbone(images), expected, strict=True):
        torch.testing.assert_close(output, value, rtol=1e-3, atol=1e-5)  # other kernels
    assert len(graphs) == 1
    assert list(model.state_dict()) == keys
    deepcopy(model)  # as EMAHook does
    hook.after_train(runner)


def train_compiled():
    """Train a compiled backbone in DistributedDataParallel. Return numbers of graphs and breaks, and the settings."""
    model = nn.Module()
    model.backbone = GCViT(GCVIT, with_cp=True, drop_path_rate=0.0, out_indices=(0,))
    model.forward = lambda images: sum(x.square().mean() for x in model.backbone(images))
    torch._dynamo.utils.counters.clear()
    hook = HOOKS.build({'type': 'CompileBackboneHook', 'backend': 'eager'})
    runner = SimpleNamespace(model=model, optim_wrapper=None)
    hook.before_train(runner)
    splits_at_buckets = torch._dynamo.config.optimize_ddp
    wrapped = DistributedDataParallel(model)
    for height, width in ((64, 96), (75, 101), (77, 90)):
        wrapped(torch.rand(1, 3, height, width)).backward()
    hook.after_train(runner)
    counters = torch._dynamo.utils.counters
    settings = splits_at_buckets, torch._dynamo.config.optimize_ddp
    return counters['stats']['unique_graphs'], sum(counters['graph_break'].values()), settings


@pytest.mark.skipif(Version(torch.__version__) < Version('2.6'), reason='older ones do not compile this under DDP')
@pytest.mark.slow
def test_under_data_parallelism_too_all_sizes_compile_to_two_graphs_without_a_break():
    """With activation checkpointing. torch's setting is restored after training."""
    assert run_on_ranks(train_compiled, [(), ()]) == [(2, 0, (False, True))] * 2


def test_cuda_graphs_with_gradient_accumulation_are_rejected():
    runner = SimpleNamespace(optim_wrapper=SimpleNamespace(_accumulative_counts=2))
    with pytest.raises(UserError, match="mode='reduce-overhead' uses CUDA graphs"):
        HOOKS.build({'type': 'CompileBackboneHook', 'mode': 'reduce-overhead'}).before_train(runner)
