"""The metadata of an ONNX file, with which it can be used without the config, the checkpoint and this package."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.reading import resolve_file
from ..errors import UserError
from ..files import sha256
from ..inference import Predictor
from ..inference.sources import Source
from ..mmengine_utils import reorders_channels
from ..version import __version__


def collect_metadata(predictor: Predictor, source: Source) -> dict[str, str]:
    """The metadata of a file, all strings; lists, numbers and bools are JSON."""
    prepared = describe_preparation(predictor.pipeline.transforms)
    # For values from 0 to 255.
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
        **{name: value if isinstance(value, str) else json.dumps(value) for name, value in prepared.items()},
        'config': Path(source.config).name,
        'checkpoint_sha256': sha256(resolve_file(source.checkpoint)),
    }
    if predictor.task == 'detection':
        rcnn = predictor.network.test_cfg.rcnn
        entries['score_thr'] = json.dumps(float(rcnn.score_thr))
        entries['mask_thr_binary'] = json.dumps(float(rcnn.get('mask_thr_binary', 0.5)))
    return entries


def describe_preparation(steps: Sequence[Any]) -> dict[str, Any]:
    """The resizing and cropping of a test pipeline; a UserError if a step cannot be described, or none resizes.

    Returns:
        ``scale``, width and height to resize to; ``keep_ratio``, whether these are bounds; ``edge``, the side (short,
        long, width or height) that becomes ``scale[0]``, or ''; ``interpolation``; ``backend``, cv2 or pillow; and
        ``crop``, width and height of a crop out of the middle, or None.
    """
    found = None
    for step in steps:
        name = type(step).__name__
        if name in ('Resize', 'ResizeEdge') and found is None:
            if step.scale is None:
                raise UserError('the test pipeline resizes by scale_factor, which no file can describe; use scale')
            edge = getattr(step, 'edge', '')
            width, height = (step.scale, step.scale) if edge else step.scale
            found = {'scale': (int(width), int(height)), 'keep_ratio': bool(edge or step.keep_ratio), 'edge': edge}
            found |= {'interpolation': step.interpolation, 'backend': step.backend, 'crop': None}
        elif name == 'CenterCrop' and found is not None:
            # mmcv's is width and height, mmpretrain's height and width.
            width, height = step.crop_size if type(step).__module__.startswith('mmcv') else step.crop_size[::-1]
            found['crop'] = (int(width), int(height))
        elif name not in ('PackDetInputs', 'PackSegInputs', 'PackInputs'):
            raise UserError(
                f'the test pipeline has the step {name}, which a file cannot describe; described are Resize or '
                'ResizeEdge, and CenterCrop behind it'
            )
    if found is None:
        raise UserError('the test pipeline has neither Resize nor ResizeEdge, by which sizes are known')
    return found
