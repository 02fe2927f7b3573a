"""Export a trained model to an ONNX file, whose metadata make it usable without the config and this
package.

All graphs are traced by torch's TorchScript exporter (``dynamo=False``), because they are written
for it: their sizes are tensors (``shape_as_tensor``), and NMS is an operator with a ``symbolic``
method, whose number of boxes depends on the data. torch calls this exporter legacy. Since 2.9 the
one on ``torch.export`` is the default; 2.13 warns of the other, and names no version or date of its
end. With 2.13, ``dynamo=True`` exports classifiers as they are, and fails at ``shape_as_tensor`` in
segmentors and detectors. When the legacy exporter goes, these have to change:

1. Sizes become ``tensor.shape``, which ``torch.export`` keeps symbolic, also the k of ``topk``.
2. ``NonMaxSuppression`` becomes an operator of ``torch.library.custom_op`` whose fake kernel
   returns a new dynamic size, with a translation in ``custom_translation_table``.
3. ``dynamic_axes`` become ``dynamic_shapes``, and the opset 18, that exporter's lowest, here and in
   docs/deploy.md.

The comparison of each export, and tests/export/test_files.py, tell whether the files are right.
"""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.downloading import resolve_file
from ..errors import UserError
from ..host.files import compute_sha256, write_atomically
from ..host.private_api import is_converting_channels
from ..host.tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from ..models.layers.arguments import make_pair
from ..ops.requirements import check_installed
from ..predict.predictor import Predictor
from ..version import __version__
from .comparing import Difference, compare
from .graphs import DYNAMIC_AXES, INPUT, ClassifierGraph, ModelGraph, SegmentorGraph
from .half_precision import convert_to_half


def build_detector_graph(network: nn.Module) -> ModelGraph:
    """Return a detector to trace. There is a graph for each kind."""
    from mmdet.models import DINO, Mask2Former, RTMDetInsHead

    from .dino_graph import DINOGraph
    from .mask2former_graph import Mask2FormerGraph
    from .rtmdet_graph import RTMDetInsGraph
    from .two_stage_graph import TwoStageGraph

    if isinstance(network, DINO):
        return DINOGraph(network)
    if isinstance(network, Mask2Former):
        return Mask2FormerGraph(network)
    if isinstance(getattr(network, 'bbox_head', None), RTMDetInsHead):
        return RTMDetInsGraph(network)
    return TwoStageGraph(network)


# What makes the module to trace of a network, by task
GRAPHS: Mapping[str, Callable[[nn.Module], ModelGraph]] = {
    DETECTION.name: build_detector_graph,
    SEGMENTATION.name: SegmentorGraph,
    CLASSIFICATION.name: ClassifierGraph,
}
OPSET = 17  # the first opset with LayerNormalization, the newest operator in the exported files
# Shape of the traced example. The windows do not divide the sides of its feature maps, so padding
# is traced too.
EXAMPLE_SHAPE = (2, 3, 99, 132)


def export_onnx(
    predictor: Predictor[Any], target: Path, check: bool = True, half: bool = False
) -> Difference | None:
    """Export a model, which must be on the CPU, to an ONNX file for any image size and batch size.

    With ``half``, convolutions and matrix products are float16. With ``check``, return the result
    of :func:`.compare`. If the outputs differ too much, raise its ComparisonError, and if the model
    has parts that cannot be exported, a UserError. Then ``target`` is not written.
    """
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')
    import onnx

    module = build_graph(predictor)
    metadata = collect_metadata(predictor, module)
    metadata['precision'] = 'float16' if half else 'float32'
    example = torch.randn(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {}
    if torch.__version__ >= '2.5':
        options['dynamo'] = False  # see the top of this file
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
        return compare(predictor, module, unfinished, is_half=half)


def build_graph(predictor: Predictor[Any]) -> ModelGraph:
    """Return a model to trace. Raise a UserError if it, or its task, cannot be exported."""
    if predictor.task not in GRAPHS:
        raise UserError(
            f'cannot export a {predictor.task} model. Export supports {", ".join(GRAPHS)}. Use '
            'mmgcvit.load and torch instead'
        )
    return GRAPHS[predictor.task](predictor.network).eval()


def collect_metadata(predictor: Predictor[Any], graph: ModelGraph) -> dict[str, str]:
    """Return the metadata of a file as strings. Lists, numbers and bools are encoded as JSON.

    Raise a UserError for a model that was not loaded from files.
    """
    if predictor.config is None or predictor.checkpoint is None:
        raise UserError(
            'cannot export a model without the files of its config and its weights, which the ONNX '
            'file names. Load it from them: mmgcvit.load(CONFIG, CHECKPOINT)'
        )
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
        'weights_limit': predictor.weights_limit or '',
        **graph.describe(predictor),
    }
    return {name: encode(value) for name, value in entries.items()}


def encode(value: Any) -> str:
    """Return a value of the metadata as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def describe_preprocessing(steps: Sequence[Any]) -> dict[str, Any]:
    """Return how a test pipeline resizes and crops.

    The table of metadata in docs/deploy.md explains the keys.
    """
    settings: dict[str, Any] = {}
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
