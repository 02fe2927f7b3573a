"""Collect the metadata that make an ONNX file usable without the config, the checkpoint and this package."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.reading import resolve_file
from ..errors import UserError
from ..files import compute_sha256
from ..inference.model_files import ModelFiles
from ..inference.predictor import Predictor
from ..mmengine_utils import reorders_channels
from ..version import __version__


def collect_metadata(predictor: Predictor, model_files: ModelFiles) -> dict[str, str]:
    """Return the metadata of a file as strings. Lists, numbers and bools are encoded as JSON."""
    preprocessing = describe_preprocessing(predictor.pipeline.transforms)
    # The mean and standard deviation are for pixel values from 0 to 255.
    preprocessor, mean, std = predictor.network.data_preprocessor, [0.0] * 3, [1.0] * 3
    if preprocessor._enable_normalize:
        mean, std = preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()
    entries = {
        'mmgcvit_version': __version__,
        'task': predictor.task,
        'classes': json.dumps(predictor.classes, ensure_ascii=False),
        'palette': json.dumps(predictor.palette),
        'mean': json.dumps(mean),
        'std': json.dumps(std),
        'channel_order': 'rgb' if reorders_channels(preprocessor) else 'bgr',
        'size_divisor': '1',  # 1 means no padding: the ONNX graph pads the images
        **{name: value if isinstance(value, str) else json.dumps(value) for name, value in preprocessing.items()},
        'config': Path(model_files.config).name,
        'checkpoint_sha256': compute_sha256(resolve_file(model_files.checkpoint)),
    }
    if predictor.task == 'detection':
        rcnn = predictor.network.test_cfg.rcnn
        entries['score_thr'] = json.dumps(float(rcnn.score_thr))
        entries['mask_thr_binary'] = json.dumps(float(rcnn.get('mask_thr_binary', 0.5)))
    return entries


def describe_preprocessing(steps: Sequence[Any]) -> dict[str, Any]:
    """Return how a test pipeline resizes and crops. Raise a UserError for other transforms, or if no transform resizes.

    Returns:
        A dict with these keys. ``scale``: the target of Resize in pixels, as in mmcv. ``keep_ratio``: whether the
        aspect ratio is kept. ``edge``: the side (short, long, width or height) that ResizeEdge makes ``scale[0]``
        pixels long, or '' for Resize. ``interpolation``: for example bilinear. ``backend``: cv2 or pillow. ``crop``:
        (width, height) of the centre crop, or None.
    """
    settings = None
    for step in steps:
        name = type(step).__name__
        if name in ('Resize', 'ResizeEdge') and settings is None:
            if step.scale is None:
                raise UserError(
                    "the test pipeline resizes by 'scale_factor', which export does not support. Use 'scale' instead"
                )
            edge = getattr(step, 'edge', '')
            width, height = (step.scale, step.scale) if edge else step.scale
            settings = {'scale': (int(width), int(height)), 'keep_ratio': bool(edge or step.keep_ratio), 'edge': edge}
            settings |= {'interpolation': step.interpolation, 'backend': step.backend, 'crop': None}
        elif name == 'CenterCrop' and settings is not None:
            settings['crop'] = tuple(map(int, step.crop_size))
        elif name not in ('PackDetInputs', 'PackSegInputs', 'PackInputs'):
            raise UserError(
                f'the test pipeline has the step {name}, which export does not support. Use only Resize or '
                'ResizeEdge, and after it CenterCrop if needed'
            )
    if settings is None:
        raise UserError('the test pipeline has neither Resize nor ResizeEdge. Add one, so that the input size is known')
    return settings
