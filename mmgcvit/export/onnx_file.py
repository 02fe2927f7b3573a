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
from ..models.layers.arguments import make_pair
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
    metadata['precision'] = 'float16' if half else 'float32'
    example = torch.randn(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0))
    options = {}
    if torch.__version__ >= torch.torch_version.TorchVersion('2.5'):
        # Use the TorchScript exporter. The dynamo exporter rejects NMS, as the number of kept boxes
        # depends on the data.
        options['dynamo'] = False
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
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, unfinished)
        return compare(predictor, module, unfinished, half) if check else None


def build_export_module(predictor: Predictor) -> nn.Module:
    """Return the module to trace.

    Its ``output_axes`` maps the name of each output to its dynamic axes.
    """
    model = predictor.network
    if predictor.task == 'classification':
        return ClassifierGraph(model).eval()
    if predictor.task == 'segmentation':
        return SegmentorGraph(model).eval()
    from mmdet.models import DINO, Mask2Former, RTMDetInsHead

    from .detector_graph import TwoStageGraph
    from .one_stage_graphs import DINOGraph, Mask2FormerGraph, RTMDetInsGraph

    graph = TwoStageGraph
    if isinstance(model, DINO):
        graph = DINOGraph
    elif isinstance(model, Mask2Former):
        graph = Mask2FormerGraph
    elif isinstance(getattr(model, 'bbox_head', None), RTMDetInsHead):
        graph = RTMDetInsGraph
    return graph(model).eval()


def collect_metadata(predictor: Predictor, module: nn.Module) -> dict[str, str]:
    """Return the metadata of a file as strings. Lists, numbers and bools are encoded as JSON."""
    # The mean and standard deviation are for pixel values from 0 to 255.
    preprocessor = predictor.network.data_preprocessor
    mean, std = [0.0] * 3, [1.0] * 3
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
        entries['score_thr'] = predictor.score_thr
        entries['mask_thr_binary'] = float(test_cfg.get('mask_thr_binary', 0.5))
        entries['mask_stride'] = module.mask_stride
    for name, value in entries.items():
        if not isinstance(value, str):
            entries[name] = json.dumps(value, ensure_ascii=False)
    return entries


def describe_preprocessing(steps: Sequence[Any]) -> dict[str, Any]:
    """Return how a test pipeline resizes and crops.

    The table of metadata in docs/deploy.md explains the keys.
    """
    settings = {}
    for step in steps:
        name = type(step).__name__
        if name in ('Resize', 'ResizeEdge') and not settings:
            if step.scale is None:
                raise UserError(
                    "the test pipeline resizes by 'scale_factor', which cannot be exported. Use "
                    "'scale'"
                )
            settings = {
                'scale': make_pair(step.scale),
                'keep_ratio': name == 'ResizeEdge' or step.keep_ratio,
                'edge': getattr(step, 'edge', ''),
                'interpolation': step.interpolation,
                'backend': step.backend,
                'crop': None,
            }
        elif name == 'CenterCrop' and settings:
            settings['crop'] = make_pair(step.crop_size)
        elif name not in ('PackDetInputs', 'PackSegInputs', 'PackInputs'):
            raise UserError(
                f'the test pipeline has the step {name}, which cannot be exported. Use only Resize '
                'or ResizeEdge, and after it CenterCrop if needed'
            )
    if not settings:
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
    nodes, converted = [], set()

    def cast(source: str, target: str, dtype: int) -> None:
        # On CPUs, onnxruntime removes pairs of casts, and with them the rounding that is to be
        # compared. Without graph optimizations, it keeps casts beside an Identity.
        nodes.append(helper.make_node('Cast', [source], [f'{target}_cast'], to=dtype))
        nodes.append(helper.make_node('Identity', [f'{target}_cast'], [target]))

    for node in graph.node:
        if node.op_type in HALF_OPERATORS:
            for name in set(node.input) - converted:
                if name in weights:
                    values = numpy_helper.to_array(weights[name]).astype('float16')
                    graph.initializer.append(numpy_helper.from_array(values, f'{name}_half'))
                else:
                    cast(name, f'{name}_half', TensorProto.FLOAT16)
            converted.update(node.input)
            (output,) = node.output
            names = [f'{name}_half' for name in node.input]
            node.input[:], node.output[:] = names, [f'{output}_output']
            nodes.append(node)
            cast(f'{output}_output', output, TensorProto.FLOAT)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for tensor in weights.values():
        if tensor.name not in used:
            graph.initializer.remove(tensor)
    onnx.checker.check_model(model)
