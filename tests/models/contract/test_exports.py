"""Files that leave the training machine: exported once, right for batches and images of other sizes.

Each is beside the eager network at three sizes that were not exported, in onnxruntime where it is ONNX.
"""

import importlib.util

import pytest
import torch
from packaging.version import Version

from mmgcvit.models.layers import cpu

from .backbones import BACKBONES

EXPORTED = (2, 3, 99, 132)
OTHERS = [(1, 3, 64, 96), (2, 3, 75, 101), (3, 3, 131, 70)]
KINDS = ['gcvit', 'gcvit_window_12', 'lsa', 'lsa_one_kv_head', 'lsa_reflections', 'lsa_no_shifts', 'lsa_windows']
# torch.export takes a side of one token, of images of 32 px, for another network than longer ones. Windows as equal as
# possible have symbolic sides themselves: those it takes apart for batches of one image only.
SYMBOLIC = ['gcvit', 'lsa']

needs_symbols = pytest.mark.skipif(Version(torch.__version__) < Version('2.7'), reason='exported so from torch 2.7 on')
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('onnx', 'onnxruntime', 'onnxscript')),
    reason='onnx, onnxruntime and onnxscript are not installed',
)


def build(name, **arguments):
    return BACKBONES[name][0](**arguments).eval()


def dynamic_shapes():
    dims = {0: torch.export.Dim('batch', max=64)}
    return ({**dims, 2: torch.export.Dim('height', min=33, max=2048), 3: torch.export.Dim('width', min=33, max=2048)},)


def check(exported, model):
    """Within 1e-4 of the eager network."""
    for shape in OTHERS:
        images = torch.randn(shape)
        with torch.no_grad():
            found, expected = exported(images), model(images)
        for ours, eager in zip(found, expected, strict=True):
            torch.testing.assert_close(torch.as_tensor(ours), eager, atol=1e-4, rtol=0)


def in_onnxruntime(file):
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
    return lambda images: session.run(None, {session.get_inputs()[0].name: images.numpy()})


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_a_trace_is_right_at_other_sizes_and_needs_nothing_of_this_package(name, monkeypatch):
    """Not its operators, nor the chunks that suit the batch that was traced; ONNX files are made of traces."""
    monkeypatch.setattr(cpu, 'IMAGE_CHUNK_BYTES', 1)
    model, calls = build(name), []
    forward = model.stages[0].forward
    monkeypatch.setattr(model.stages[0], 'forward', lambda x: calls.append(1) or forward(x))
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.randn(EXPORTED), check_trace=False)
        assert len(calls) == 1
        assert 'mmgcvit::' not in str(traced.inlined_graph)
        check(traced, model)


@needs_symbols
def test_one_stage_is_exported_right_for_other_sizes():
    """Batch, height and width are symbols."""
    check_program(build('gcvit', out_indices=(0,)))


@pytest.mark.long
@needs_symbols
@pytest.mark.parametrize('name', SYMBOLIC)
def test_an_exported_program_is_right_at_other_sizes(name):
    check_program(build(name))


def check_program(model):
    with torch.no_grad():
        program = torch.export.export(model, (torch.randn(EXPORTED),), dynamic_shapes=dynamic_shapes())
    check(program.module(), model)
    assert 'mmgcvit::' not in program.graph_module.code


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize('name', KINDS)
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
    check(in_onnxruntime(file), model)


@pytest.mark.long
@needs_onnx
@needs_symbols
@pytest.mark.parametrize('name', SYMBOLIC)
@pytest.mark.filterwarnings('ignore')
def test_onnx_by_dynamo_is_right_at_other_sizes(name, tmp_path):
    """And holds no Resize, whose definition differs from runtime to runtime. Two stages, one of which pads its map."""
    import onnx

    model, file = build(name, out_indices=(0, 1)), str(tmp_path / 'model.onnx')
    with torch.no_grad():
        torch.onnx.export(
            model,
            (torch.randn(EXPORTED),),
            file,
            dynamo=True,
            dynamic_shapes=dynamic_shapes(),
            external_data=False,
            verbose=False,
        )
    check(in_onnxruntime(file), model)
    assert 'Resize' not in {node.op_type for node in onnx.load(file).graph.node}


@pytest.mark.parametrize('name', ['gcvit', 'lsa'])
def test_dynamic_quantization_finds_every_linear_layer(name):
    """It goes by exact type. What it leaves is near the network in float32."""
    model = build(name)
    num_linear = sum(isinstance(module, torch.nn.Linear) for module in model.modules())
    quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})
    found = [module for module in quantized.modules() if isinstance(module, torch.ao.nn.quantized.dynamic.Linear)]
    assert len(found) == num_linear
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        for ours, expected in zip(quantized(images), model(images), strict=True):
            assert 0 < (ours - expected).norm() <= 0.1 * expected.norm()
