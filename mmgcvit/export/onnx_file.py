"""Export a trained model to an ONNX file, whose metadata make it usable without the config and this
package.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.reading import resolve_file
from ..errors import UserError, check_installed
from ..files import compute_sha256, write_atomically
from ..inference.predictor import Predictor
from ..private_api import is_converting_channels
from ..version import __version__
from .comparing import compare
from .graphs import DYNAMIC_AXES, INPUT, ClassifierGraph, SegmentorGraph

OPSET = 17  # the first opset with LayerNormalization, the newest operator in the exported files
# Shape of the traced example. The windows do not divide the sides of its feature maps, so padding
# is traced too.
EXAMPLE_SHAPE = (2, 3, 99, 132)
# They take most of the time, and their weights most of the file.
HALF_OPERATORS = {'Conv', 'ConvTranspose', 'Gemm', 'MatMul'}


def export_onnx(
    predictor: Predictor, target: Path, check: bool = True, half: bool = False
) -> tuple[float, str] | None:
    """Export a model, which must be on the CPU, to an ONNX file for any image size and batch size.

    With ``half``, convolutions and matrix products are float16. With ``check``, return the result
    of :func:`.compare`. If the outputs differ too much, or the model has parts that cannot be
    exported, raise a UserError and do not write ``target``.
    """
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')
    import onnx

    module = build_export_module(predictor)
    metadata = collect_metadata(predictor, module)
    example = torch.randn(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0))
    # Use the TorchScript exporter. The dynamo exporter rejects NMS, as the number of kept boxes
    # depends on the data.
    options = (
        {'dynamo': False} if torch.__version__ >= torch.torch_version.TorchVersion('2.5') else {}
    )
    with write_atomically(target) as unfinished:
        with torch.no_grad(), warnings.catch_warnings():
            # Hide warnings about values that become constants: ``compare`` finds those that change
            # the outputs.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                module,
                (example,),
                str(unfinished),
                input_names=[INPUT],
                output_names=list(module.output_axes),
                dynamic_axes={INPUT: DYNAMIC_AXES, **module.output_axes},
                opset_version=OPSET,
                **options,
            )
        model = onnx.load(unfinished)
        if half:
            convert_to_half(model)
        onnx.helper.set_model_props(
            model, {**metadata, 'precision': 'float16' if half else 'float32'}
        )
        onnx.save(model, unfinished)
        return compare(predictor, module, unfinished, half) if check else None


def build_export_module(predictor: Predictor) -> nn.Module:
    """Return the module to trace.

    Its ``output_axes`` maps the name of each output to its dynamic axes.
    """
    model = predictor.network
    if predictor.task != 'detection':
        return (SegmentorGraph if predictor.task == 'segmentation' else ClassifierGraph)(
            model
        ).eval()
    from mmdet.models import DINO, Mask2Former, RTMDetInsHead

    from .detector_graph import TwoStageGraph
    from .one_stage_graphs import DINOGraph, Mask2FormerGraph, RTMDetInsGraph

    if isinstance(getattr(model, 'bbox_head', None), RTMDetInsHead):
        return RTMDetInsGraph(model).eval()
    graphs = {DINO: DINOGraph, Mask2Former: Mask2FormerGraph}
    graph = next(
        (graph for detector, graph in graphs.items() if isinstance(model, detector)), TwoStageGraph
    )
    return graph(model).eval()


def collect_metadata(predictor: Predictor, module: nn.Module) -> dict[str, str]:
    """Return the metadata of a file as strings. Lists, numbers and bools are encoded as JSON."""
    # The mean and standard deviation are for pixel values from 0 to 255.
    preprocessor, mean, std = predictor.network.data_preprocessor, [0.0] * 3, [1.0] * 3
    if hasattr(preprocessor, 'mean'):
        mean, std = preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()
    entries = {
        'mmgcvit_version': __version__,
        'task': predictor.task,
        'classes': predictor.classes,
        'palette': predictor.palette,
        'mean': mean,
        'std': std,
        'channel_order': 'rgb' if is_converting_channels(preprocessor) else 'bgr',
        'size_divisor': 1,  # 1 means no padding: the ONNX graph pads the images
        **describe_preprocessing(predictor.pipeline.transforms),
        'config': Path(predictor.config).name,
        'checkpoint_sha256': compute_sha256(resolve_file(predictor.checkpoint)),
    }
    if predictor.task == 'detection':
        # Two-stage detectors have settings for each stage.
        test_cfg = predictor.network.test_cfg.get('rcnn', predictor.network.test_cfg)
        entries |= {
            'score_thr': predictor.score_thr,
            'mask_thr_binary': float(test_cfg.get('mask_thr_binary', 0.5)),
        }
        entries['mask_stride'] = module.mask_stride
    texts = {
        name: json.dumps(value, ensure_ascii=False)
        for name, value in entries.items()
        if type(value) is not str
    }
    return {**entries, **texts}


def describe_preprocessing(steps: Sequence[Any]) -> dict[str, Any]:
    """Return how a test pipeline resizes and crops.

    The table of metadata in docs/deploy.md explains the keys.
    """
    settings = None
    for step in steps:
        name = type(step).__name__
        if name in ('Resize', 'ResizeEdge') and settings is None:
            if step.scale is None:
                raise UserError(
                    "the test pipeline resizes by 'scale_factor', which cannot be exported. Use "
                    "'scale'"
                )
            edge = getattr(step, 'edge', '')
            scale = (step.scale, step.scale) if edge else tuple(map(int, step.scale))
            settings = {'scale': scale, 'keep_ratio': bool(edge or step.keep_ratio), 'edge': edge}
            settings |= {'interpolation': step.interpolation, 'backend': step.backend, 'crop': None}
        elif name == 'CenterCrop' and settings is not None:
            settings['crop'] = tuple(map(int, step.crop_size))
        elif name not in ('PackDetInputs', 'PackSegInputs', 'PackInputs'):
            advice = 'Use only Resize or ResizeEdge, and after it CenterCrop if needed'
            raise UserError(
                f'the test pipeline has the step {name}, which cannot be exported. {advice}'
            )
    if settings is None:
        raise UserError(
            'the test pipeline has neither Resize nor ResizeEdge. Add one, so that the input size '
            'is known'
        )
    return settings


def convert_to_half(model: Any) -> None:
    """Convert :data:`HALF_OPERATORS` to float16, in place.

    Norms, softmax, coordinates, indices would lose accuracy.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes, halves = [], {}  # halves: the float16 name of each converted tensor, by its float32 name

    def add(op_type: str, source: str, target: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(op_type, [source], [target], **attributes))

    for node in graph.node:
        if node.op_type not in HALF_OPERATORS:
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name not in halves:
                halves[name] = f'{name}_half'
                if name in weights:
                    values = numpy_helper.to_array(weights[name]).astype('float16')
                    graph.initializer.append(numpy_helper.from_array(values, halves[name]))
                else:
                    # On CPUs, onnxruntime removes pairs of casts, and with them the rounding that
                    # is to be compared. Without graph optimizations, it keeps casts beside an
                    # Identity.
                    add('Cast', name, f'{name}_cast', to=TensorProto.FLOAT16)
                    add('Identity', f'{name}_cast', halves[name])
            node.input[i] = halves[name]
        (name,) = node.output
        node.output[0] = f'{name}_output'
        nodes.append(node)
        add('Identity', node.output[0], f'{name}_identity')
        add('Cast', f'{name}_identity', name, to=TensorProto.FLOAT)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    onnx.checker.check_model(model)
