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
from .comparing import Difference, compare, get_mask_threshold
from .graphs import DYNAMIC_AXES, INPUT, ClassifierGraph, SegmentorGraph
from .half_precision import convert_to_half

OPSET = 17  # the first opset with LayerNormalization, the newest operator in the exported files
# Shape of the traced example. The windows do not divide the sides of its feature maps, so padding
# is traced too.
EXAMPLE_SHAPE = (2, 3, 99, 132)


def export_onnx(
    predictor: Predictor[Any], target: Path, check: bool = True, half: bool = False
) -> Difference | None:
    """Export a model, which must be on the CPU, to an ONNX file for any image size and batch size.

    With ``half``, convolutions and matrix products are float16. With ``check``, return the result
    of :func:`.compare`. If the outputs differ too much, or the model has parts that cannot be
    exported, raise a UserError and do not write ``target``.
    """
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')
    import onnx

    module = build_graph(predictor).eval()
    metadata = collect_metadata(predictor, module)
    metadata['precision'] = 'float16' if half else 'float32'
    example = torch.randn(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0))
    options = {}
    if torch.__version__ >= '2.5':
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
        if not check:
            return None
        return compare(predictor=predictor, graph=module, path=unfinished, is_half=half)


def build_graph(predictor: Predictor[Any]) -> nn.Module:
    """Return the module to trace.

    Its ``output_axes`` maps the name of each output to its dynamic axes. Raise a UserError if the
    model has parts that cannot be exported.
    """
    model = predictor.network
    if predictor.task == 'classification':
        return ClassifierGraph(model)
    if predictor.task == 'segmentation':
        return SegmentorGraph(model)
    from mmdet.models import DINO, Mask2Former, RTMDetInsHead

    from .detector_graph import TwoStageGraph
    from .dino_graph import DINOGraph
    from .mask2former_graph import Mask2FormerGraph
    from .rtmdet_graph import RTMDetInsGraph

    if isinstance(model, DINO):
        return DINOGraph(model)
    if isinstance(model, Mask2Former):
        return Mask2FormerGraph(model)
    if isinstance(getattr(model, 'bbox_head', None), RTMDetInsHead):
        return RTMDetInsGraph(model)
    return TwoStageGraph(model)


def collect_metadata(predictor: Predictor[Any], module: nn.Module) -> dict[str, str]:
    """Return the metadata of a file as strings. Lists, numbers and bools are encoded as JSON."""
    # The mean and standard deviation are for pixel values from 0 to 255.
    preprocessor = predictor.network.data_preprocessor
    mean = [0.0] * 3
    std = [1.0] * 3
    if hasattr(preprocessor, 'mean'):
        mean = preprocessor.mean.flatten().tolist()
        std = preprocessor.std.flatten().tolist()
    entries = {
        'mmgcvit_version': __version__,
        'task': predictor.task,
        'classes': predictor.classes,
        'palette': predictor.palette,
        'mean': mean,
        'std': std,
        'channel_order': 'rgb' if is_converting_channels(preprocessor) else 'bgr',
        **describe_preprocessing(predictor.pipeline.transforms),
        'config': predictor.config.name,
        'checkpoint_sha256': compute_sha256(resolve_file(predictor.checkpoint)),
    }
    if predictor.task == 'detection':
        entries |= {
            **predictor.thresholds.to_json(),
            'tiles': predictor.tiles or 0,
            'limit': predictor.limit,
            'mask_thr_binary': get_mask_threshold(predictor.network),
            'mask_type': module.mask_type,
            'mask_stride': module.mask_stride,
        }
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
        # Resize has no scale if it resizes by a factor.
        if name in ('Resize', 'ResizeEdge') and step.scale and not settings:
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
                f'the test pipeline has the step {name}, which cannot be exported. Use one Resize '
                "or ResizeEdge by 'scale', and after it CenterCrop if needed"
            )
    if not settings:
        raise UserError('the test pipeline has neither Resize nor ResizeEdge. Add one')
    return settings
