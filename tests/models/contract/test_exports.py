"""Exported networks compute what eager ones do: traces and ONNX files at any size, torch.export at the exported one."""

import importlib.util

import pytest
import torch
from packaging.version import Version

from .backbones import BACKBONES

EXPORTED = (2, 3, 99, 132)
# Maps of one window and of several, wide and tall ones too.
OTHERS = [(1, 3, 64, 96), (3, 3, 131, 70), (1, 3, 224, 224), (1, 3, 33, 320), (2, 3, 260, 40)]

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('onnx', 'onnxruntime', 'onnxscript')),
    reason='onnx, onnxruntime and onnxscript are not installed',
)


def build(name, **arguments):
    return BACKBONES[name][0](**arguments).eval()


def check(exported, model, shapes=OTHERS):
    """Check that a program agrees with the eager network within 1e-4."""
    for shape in shapes:
        images = torch.randn(shape)
        with torch.no_grad():
            found, expected = exported(images), model(images)
        if isinstance(expected, torch.Tensor):
            found, expected = [found], [expected]
        for ours, eager in zip(found, expected, strict=True):
            torch.testing.assert_close(torch.as_tensor(ours), eager, atol=1e-4, rtol=0)


def run_onnxruntime(file):
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
    return lambda images: session.run(None, {session.get_inputs()[0].name: images.numpy()})


@pytest.mark.parametrize('name', BACKBONES)
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_a_trace_is_right_at_other_sizes_and_runs_without_this_package(name, monkeypatch):
    """A trace contains no custom operators. ONNX export uses traces."""
    model, calls = build(name), []
    forward = model.stages[0].forward
    monkeypatch.setattr(model.stages[0], 'forward', lambda x: calls.append(1) or forward(x))
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.randn(EXPORTED), check_trace=False)
        assert len(calls) == 1
        assert 'mmgcvit::' not in str(traced.inlined_graph)
        check(traced, model)


@pytest.mark.skipif(Version(torch.__version__) < Version('2.7'), reason='exported so from torch 2.7 on')
@pytest.mark.parametrize('name', BACKBONES)
def test_an_exported_program_is_right_at_its_own_size(name):
    model = build(name)
    with torch.no_grad():
        program = torch.export.export(model, (torch.randn(EXPORTED),))
    check(program.module(), model, [EXPORTED])
    assert 'mmgcvit::' not in program.graph_module.code


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize('name', ['gcvit_window_12', 'lsa_one_kv_head', 'lsa_reflections'])
@pytest.mark.filterwarnings('ignore')
def test_onnx_by_torchscript_is_right_at_other_sizes(name, tmp_path):
    model, file = build(name), str(tmp_path / 'model.onnx')
    axes = {'images': {0: 'batch', 2: 'height', 3: 'width'}}
    options = {'dynamo': False} if Version(torch.__version__) >= Version('2.5') else {}
    with torch.no_grad():
        torch.onnx.export(
            model,
            (torch.randn(EXPORTED),),
            file,
            input_names=['images'],
            dynamic_axes=axes,
            opset_version=17,
            **options,
        )
    check(run_onnxruntime(file), model)
