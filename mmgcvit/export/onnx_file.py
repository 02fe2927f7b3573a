"""Export a trained model to an ONNX file, whose metadata make it usable without the config and this
package.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

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


def export_onnx(predictor: Predictor, target: Path, check: bool = True) -> tuple[float, str] | None:
    """Export a model, which must be on the CPU, to an ONNX file for any image size and batch size.

    With ``check``, return the result of :func:`.compare`. If the outputs differ too much, or the
    model has parts that cannot be exported, raise a UserError and do not write ``target``.
    """
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')
    import onnx

    if predictor.task == 'classification':
        graph_type = ClassifierGraph
    elif predictor.task == 'segmentation':
        graph_type = SegmentorGraph
    else:
        from .detector_graph import TwoStageGraph

        graph_type = TwoStageGraph
    # Its output_axes maps the name of each output to its dynamic axes.
    module = graph_type(predictor.network).eval()
    metadata = collect_metadata(predictor)
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
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, unfinished)
        return compare(predictor, module, unfinished) if check else None


def collect_metadata(predictor: Predictor) -> dict[str, str]:
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
            'score_thr': predictor.score_thr,
            'tiles': predictor.tiles or 0,
            'limit': predictor.limit,
            'mask_thr_binary': predictor.network.test_cfg.rcnn.get('mask_thr_binary', 0.5),
        }
    for name, value in entries.items():
        if not isinstance(value, str):
            entries[name] = json.dumps(value, ensure_ascii=False)
    return entries


def describe_preprocessing(steps: Sequence) -> dict:
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
