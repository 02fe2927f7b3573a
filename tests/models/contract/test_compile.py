"""Every backbone under torch.compile: one graph without a break, for images of any size, with the same results."""

import shutil

import pytest
import torch
from packaging.version import Version
from torch._dynamo.testing import CompileCounter

from mmgcvit.models.layers import attention

from .backbones import BACKBONES

pytestmark = pytest.mark.skipif(Version(torch.__version__) < Version('2.4'), reason='compiled from torch 2.4 on')
needs_a_compiler = pytest.mark.skipif(shutil.which('g++') is None, reason='the default backend needs a C++ compiler')

# With one block of each kind: LSA's first is another than the rest, GC ViT's take turns.
FEWER_BLOCKS = {
    'gcvit': {},
    'lsa': {'arch': {'depths': (2, 1, 1, 1)}},
    'lsa_windows': {'arch': {'depths': (2, 1, 1, 1)}},
}
# Some need no padding; one is that of pretraining.
SIZES = [(64, 64), (75, 101), (224, 224), (131, 70)]


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def build(name, **arguments):
    """Build the first two stages by default, since four take three times as long."""
    return BACKBONES[name](**{**FEWER_BLOCKS[name], 'out_indices': (0, 1), **arguments})


@pytest.mark.parametrize(
    ('name', 'training'),
    [
        *((name, False) for name in ('gcvit', 'lsa')),
        *(pytest.param(name, True, marks=pytest.mark.long) for name in ('gcvit', 'lsa_windows')),
    ],
)
def test_all_sizes_compile_to_two_graphs_without_a_break(name, training, monkeypatch):
    """One graph is for the first size and one for all others. A graph break or a further recompilation is an error."""
    monkeypatch.setitem(attention.MAX_BATCH, 'cpu', attention.MAX_BATCH['cuda'])
    model = build(name, with_cp=training, out_indices=(0, 1) if training else (0,))
    counter = CompileCounter()
    compiled = torch.compile(model.train(training), backend=counter, fullgraph=True)
    with torch.set_grad_enabled(training):
        for size in SIZES:
            maps = compiled(torch.randn(2, 3, *size))
            assert maps[0].shape[2:] == model(torch.randn(1, 3, *size))[0].shape[2:]
    assert counter.frame_count <= 2


@pytest.mark.long
@needs_a_compiler
@pytest.mark.parametrize('name', ['gcvit', 'lsa_windows'])
def test_the_default_backend_computes_what_eager_does(name, device):
    """Shapes are static, since dynamic ones take the compiler minutes."""
    model = build(name, out_indices=(0,)).to(device).eval()
    images = torch.randn(2, 3, 75, 101, device=device)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model, dynamic=False)(images), model(images), atol=1e-4, rtol=1e-4)
