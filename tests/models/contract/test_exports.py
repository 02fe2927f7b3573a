"""Exported networks (traces, torch.export, ONNX in onnxruntime) compute what eager ones do, at sizes not exported."""

import importlib.util

import pytest
import torch
from packaging.version import Version

from .backbones import BACKBONES

EXPORTED = (2, 3, 99, 132)
# Maps of one window and of several, wide and tall ones too.
OTHERS = [(1, 3, 64, 96), (3, 3, 131, 70), (1, 3, 224, 224), (1, 3, 33, 320), (2, 3, 260, 40)]
KINDS = ['gcvit', 'gcvit_window_12', 'lsa', 'lsa_one_kv_head', 'lsa_reflections', 'lsa_no_shifts', 'lsa_windows']

needs_symbols = pytest.mark.skipif(Version(torch.__version__) < Version('2.7'), reason='exported so from torch 2.7 on')
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('onnx', 'onnxruntime', 'onnxscript')),
    reason='onnx, onnxruntime and onnxscript are not installed',
)


def build(name, **arguments):
    return BACKBONES[name][0](**arguments).eval()


def dynamic_shapes(height=2, least=33):
    """Return the dynamic shapes of images (B, 3, H, W), or of maps (B, H, W, C) with ``height=1``."""
    sides = {height + i: torch.export.Dim(side, min=least, max=2048) for i, side in enumerate(('height', 'width'))}
    return ({0: torch.export.Dim('batch', max=64), **sides},)


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


@pytest.mark.parametrize('name', KINDS)
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


@needs_symbols
@pytest.mark.parametrize('name', ['gcvit', 'lsa'])
def test_one_stage_is_exported_right_for_any_number_of_windows(name):
    """Batch, height and width are dynamic; maps reach from 2 tokens to several windows, with even and odd sizes."""
    stage, channels = build(name, window_size=3).stages[3], BACKBONES[name][1][3]
    shapes = [(1, *size, channels) for size in [(2, 2), (4, 3), (15, 2), (3, 20), (7, 14)]]
    check_program(stage, (2, 9, 13, channels), shapes, height=1, least=2)


@pytest.mark.long
@needs_symbols
@pytest.mark.parametrize(
    ('name', 'window', 'exported'),
    [
        ('gcvit', (7, 7, 14, 7), EXPORTED),
        ('gcvit', 16, (2, 3, 512, 512)),
        ('gcvit', 24, EXPORTED),
        ('lsa', None, EXPORTED),
        ('lsa', 7, EXPORTED),
    ],
)
def test_an_exported_program_is_right_at_other_sizes(name, window, exported):
    check_program(build(name, window_size=window), exported, OTHERS)


def check_program(model, exported, shapes, **sides):
    with torch.no_grad():
        program = torch.export.export(model, (torch.randn(exported),), dynamic_shapes=dynamic_shapes(**sides))
    check(program.module(), model, shapes)
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
