"""The hook compiles blocks to few graphs for images of all sizes, in training only, and keeps the
checkpoint's keys.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmgcvit import LSA, GCViT
from mmgcvit.engine.hooks.compile_backbone import MAX_GRAPHS_PER_KIND, CompileBackboneHook
from mmgcvit.errors import UserError

from ...fork_server import run_on_ranks

pytestmark = pytest.mark.skipif(
    not hasattr(torch.compiler, 'set_stance'), reason='blocks are not compiled'
)
# Two stages with two kinds of attention each, and one kind more: the first block has no drop path.
# torch compiles once more if the first image's map has as many rows as it has channels or a window
# has tokens: it takes these for one size.
ARCH = {'embed_dims': 20, 'depths': (3, 2, 1, 1), 'num_heads': (2, 4, 4, 4), 'mlp_ratio': 2}
NUM_KINDS = 5
NUM_KINDS_OF_STAGE_0 = 3
# Odd, square, tall and wide images whose maps are several windows high and wide, as in detection.
SIZES = [(72, 104), (75, 101), (131, 70), (96, 96)]


def make_model(**arguments):
    model = nn.Module()
    model.backbone = GCViT(ARCH, window_size=4, **{'out_indices': (0, 1), **arguments})
    return model


def start_hook(model):
    """Return the hook after ``before_train``, and a list of the graphs that are compiled from then
    on.
    """
    torch.compiler.reset()
    graphs = []

    def record_graph(graph, _):
        graphs.append(graph)
        return graph

    # With fullgraph, a graph break and the limit of recompilations are errors.
    hook = CompileBackboneHook()
    hook.options |= {'backend': record_graph, 'fullgraph': True}
    hook.before_train(SimpleNamespace(model=model))
    return hook, graphs


def train_step(model, size):
    """Return the gradients, but for those of the keys' biases, which only rounding decides: softmax
    ignores them.
    """
    torch.manual_seed(0)
    model.zero_grad()
    sum(found.square().mean() for found in model.backbone(torch.rand(1, 3, *size))).backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if gradient is not None and not name.endswith('kv.bias'):
            gradients[name] = gradient / gradient.abs().max().clamp(min=1e-9)
    return gradients


@pytest.mark.slow
@pytest.mark.parametrize('with_cp', [False, pytest.param(True, marks=pytest.mark.long)])
def test_blocks_of_a_kind_share_a_graph_for_all_sizes_and_compute_what_eager_ones_do(with_cp):
    """In training; validation runs eager, and the compiler's settings are restored at the end."""
    limit = torch._dynamo.config.recompile_limit
    model = make_model(with_cp=with_cp, drop_path_rate=0.5)
    keys = list(model.state_dict())
    expected = train_step(model, SIZES[-1])
    hook, graphs = start_hook(model)
    # Blocks of all kinds share one method, and torch limits its graphs. Here are four kinds: two
    # stages, and two types of attention.
    assert torch._dynamo.config.recompile_limit == 4 * MAX_GRAPHS_PER_KIND
    for size in SIZES:
        gradients = train_step(model, size)
    torch.testing.assert_close(gradients, expected, atol=1e-3, rtol=1e-4)
    hook.before_val(None)
    model.eval()
    model.backbone(torch.rand(1, 3, *SIZES[0]))
    hook.after_val(None)
    assert len(graphs) == NUM_KINDS
    assert list(model.state_dict()) == keys
    train_step(model.train(), SIZES[0])
    assert len(graphs) == NUM_KINDS
    hook.after_train(None)
    assert torch._dynamo.config.recompile_limit == limit


def train_on_rank():
    """Return the number of graphs of a training in DistributedDataParallel."""
    model = make_model(with_cp=True, drop_path_rate=0.5, out_indices=(0,))
    model.forward = lambda images: sum(x.square().mean() for x in model.backbone(images))
    hook, graphs = start_hook(model)
    wrapped = DistributedDataParallel(model)
    for size in SIZES[:3]:
        wrapped(torch.rand(1, 3, *size)).backward()
    hook.after_train(None)
    return len(graphs)


@pytest.mark.long
def test_under_data_parallelism_there_are_as_many_graphs():
    assert run_on_ranks(train_on_rank, [(), ()]) == [NUM_KINDS_OF_STAGE_0] * 2


def test_a_backbone_without_our_blocks_is_rejected():
    model = nn.Module()
    model.backbone = LSA('cifar-tiny')
    start_hook(model)[0].after_train(None)
    model.backbone = nn.Conv2d(3, 4, 1)
    with pytest.raises(UserError, match='Conv2d has no blocks'):
        CompileBackboneHook().before_train(SimpleNamespace(model=model))
