"""Every backbone under torch.compile: one graph without a break, for images of any size.

Modules: `mmgcvit/models`.
"""

import pytest
import torch
from packaging.version import Version
from torch._dynamo.testing import CompileCounter

from mmgcvit.models.layers import attention

from .backbones import BACKBONES

pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version('2.4'), reason='compiled from torch 2.4 on'
)

# With one block of each kind: LSA's first is another than the rest, GC ViT's take turns.
FEWER_BLOCKS = {'arch': {'depths': (2, 1, 1, 1)}}
# Some need no padding; one is that of pretraining.
SIZES = [(64, 64), (75, 101), (224, 224), (131, 70)]


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'training'),
    [
        ('gcvit', False),
        ('lsa', False),
        ('gcvit_lora', False),
        pytest.param('lsa_lora', True, marks=pytest.mark.long),
        pytest.param('gcvit', True, marks=pytest.mark.long),
        pytest.param('lsa_windows', True, marks=pytest.mark.long),
    ],
)
def test_all_sizes_compile_to_two_graphs_without_a_break(name, training, monkeypatch):
    """One graph is for the first size and one for all others.

    A graph break or a further recompilation is an error.
    """
    monkeypatch.setitem(attention.MAX_BATCH, 'cpu', attention.MAX_BATCH['cuda'])
    options = {} if name.startswith('gcvit') else FEWER_BLOCKS
    # Four stages take three times as long.
    out_indices = (0, 1) if training else (0,)
    model = BACKBONES[name](with_cp=training, out_indices=out_indices, **options)
    counter = CompileCounter()
    compiled = torch.compile(model.train(training), backend=counter, fullgraph=True)
    with torch.set_grad_enabled(training):
        for size in SIZES:
            maps = compiled(torch.randn(2, 3, *size))
            assert maps[0].shape[2:] == model(torch.randn(1, 3, *size))[0].shape[2:]
    assert counter.frame_count <= 2
