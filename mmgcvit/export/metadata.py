"""Collect the metadata with which an ONNX file can be used without the config, the checkpoint and this package."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.reading import resolve_file
from ..errors import UserError
from ..files import sha256
from ..inference import Predictor
from ..inference.model_files import ModelFiles
from ..mmengine_utils import reorders_channels
from ..version import __version__


def collect_metadata(predictor: Predictor, model_files: ModelFiles) -> dict[str, str]:
    """Return the metadata of a file as strings. Lists, numbers and bools are encoded as JSON."""
    preprocessing = describe_preprocessing(predictor.pipeline.transforms)
    # For pixel values from 0 to 255.
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
        'size_divisor': '1',
        **{name: value if isinstance(value, str) else json.dumps(value) for name, value in preprocessing.items()},
        'config': Path(model_files.config).name,
        'checkpoint_sha256': sha256(resolve_file(model_files.checkpoint)),
    }
    if predictor.task == 'detection':
        rcnn = predictor.network.test_cfg.rcnn
        entries['score_thr'] = json.dumps(float(rcnn.score_thr))
        entries['mask_thr_binary'] = json.dumps(float(rcnn.get('mask_thr_binary', 0.5)))
    return entries


def describe_preprocessing(steps: Sequence[Any]) -> dict[str, Any]:
    """Return how a test pipeline resizes and crops. Raise a UserError for unsupported steps, or if none resizes.

    Returns:
        ``scale`` (width, height); ``keep_ratio``, whether that is a maximum; ``edge``, the side (short, long, width or
        height) that is resized to ``scale[0]``, or ''; ``interpolation``; ``backend``, cv2 or pillow; and ``crop``,
        (width, height) of a centre crop, or None.
    """
    described = None
    for step in steps:
        name = type(step).__name__
        if name in ('Resize', 'ResizeEdge') and described is None:
            if step.scale is None:
                raise UserError('the test pipeline resizes by scale_factor, which export does not support. Use scale')
            edge = getattr(step, 'edge', '')
            width, height = (step.scale, step.scale) if edge else step.scale
            described = {'scale': (int(width), int(height)), 'keep_ratio': bool(edge or step.keep_ratio), 'edge': edge}
            described |= {'interpolation': step.interpolation, 'backend': step.backend, 'crop': None}
        elif name == 'CenterCrop' and described is not None:
            # crop_size is (width, height) in mmcv and (height, width) in mmpretrain.
            width, height = step.crop_size if type(step).__module__.startswith('mmcv') else step.crop_size[::-1]
            described['crop'] = (int(width), int(height))
        elif name not in ('PackDetInputs', 'PackSegInputs', 'PackInputs'):
            raise UserError(
                f'the test pipeline has the step {name}, which export does not support. Use only Resize or '
                'ResizeEdge, then CenterCrop'
            )
    if described is None:
        raise UserError('the test pipeline has neither Resize nor ResizeEdge. Add one, so that the input size is known')
    return described
