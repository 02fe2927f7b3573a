"""What a file says of itself, so that it can be used without the config, the checkpoint and this package."""

import json
from pathlib import Path

from torch import nn

from ..checkpoints.integrity import sha256
from ..checkpoints.reading import local_file
from ..inference import Predictor
from ..inference.loading import Source
from ..version import __version__
from .graphs import BACKBONE
from .pipelines import preparation_of


def metadata_of(predictor: Predictor, source: Source, part: str | None = None) -> dict[str, str]:
    """The entries of a file, all text; lists, numbers and what is true or false as JSON.

    Args:
        predictor: The model.
        source: What it was made of.
        part: What of it the file holds; None for the whole.

    Raises:
        UserError: Its test pipeline cannot be described.
    """
    prepared = preparation_of(predictor.pipeline.transforms)
    entries = {
        'mmgcvit_version': __version__,
        'task': BACKBONE if part == BACKBONE else predictor.task,
        'classes': json.dumps(predictor.classes, ensure_ascii=False),
        'palette': json.dumps([list(colour) for colour in predictor.palette]),
        **normalisation_of(predictor.network.data_preprocessor),
        'size_divisor': '1',
        **{name: json.dumps(value) for name, value in prepared._asdict().items() if not isinstance(value, str)},
        **{name: value for name, value in prepared._asdict().items() if isinstance(value, str)},
        'config': Path(source.config).name,
        'checkpoint_sha256': sha256(local_file(source.checkpoint)),
    }
    if entries['task'] == 'detection':
        rcnn = predictor.network.test_cfg.rcnn
        entries |= {
            'score_thr': json.dumps(float(rcnn.score_thr)),
            'mask_thr_binary': json.dumps(float(rcnn.get('mask_thr_binary', 0.5))),
        }
    return entries


def normalisation_of(preprocessor: nn.Module) -> dict[str, str]:
    """Mean, deviation and order of the channels that a network wants, of values from 0 to 255."""
    # Of the hosts' base class, or of mmpretrain's, which has another name for it.
    is_turned = getattr(preprocessor, 'to_rgb', None)
    if is_turned is None:
        is_turned = preprocessor._channel_conversion
    mean, std = [0.0] * 3, [1.0] * 3
    if preprocessor._enable_normalize:
        mean, std = preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()
    return {'mean': json.dumps(mean), 'std': json.dumps(std), 'channel_order': 'rgb' if is_turned else 'bgr'}
