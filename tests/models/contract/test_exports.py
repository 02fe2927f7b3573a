"""Exported networks compute what eager ones do: traces at any size, torch.export at the exported
one.

Modules: `mmgcvit/models`.
"""

import pytest
import torch
from packaging.version import Version

from .backbones import BACKBONES

EXPORTED = (2, 3, 99, 132)
# Maps of one window and of several, wide and tall ones too.
OTHERS = [(1, 3, 64, 96), (3, 3, 131, 70), (1, 3, 224, 224), (1, 3, 33, 320), (2, 3, 260, 40)]
# In make test, torch.export is tried on these: global queries, and each kind of shifts and windows.
FEW = ('gcvit', 'lsa', 'lsa_windows', 'lsa_reflections')


def check(exported, model, shape):
    """Check that a program agrees with the eager network within 1e-4."""
    images = torch.randn(shape)
    torch.testing.assert_close(exported(images), model(images), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize('name', BACKBONES)
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@torch.no_grad()
def test_a_trace_is_right_at_other_sizes_and_runs_without_this_package(name):
    """A trace contains no custom operators. ONNX export uses traces."""
    model = BACKBONES[name]().eval()
    traced = torch.jit.trace(model, torch.randn(EXPORTED), check_trace=False)
    assert 'mmgcvit::' not in str(traced.inlined_graph)
    for shape in OTHERS:
        check(traced, model, shape)


@pytest.mark.slow
@pytest.mark.skipif(
    Version(torch.__version__) < Version('2.7'), reason='exported so from torch 2.7 on'
)
@pytest.mark.parametrize(
    'name',
    [*FEW, *(pytest.param(name, marks=pytest.mark.long) for name in BACKBONES if name not in FEW)],
)
@torch.no_grad()
def test_an_exported_program_is_right_at_its_own_size(name):
    model = BACKBONES[name]().eval()
    program = torch.export.export(model, (torch.randn(EXPORTED),))
    check(program.module(), model, EXPORTED)
    assert 'mmgcvit::' not in program.graph_module.code
