"""Describe pictures by the feature maps of a model's backbone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from ...predict.predictor import Predictor, make_failure

Features = NDArray[np.float32]  # (pictures, channels of all feature maps)


def compute_features(model: Predictor[Any], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features (channels of all feature maps,) of an image (height, width, 3) in BGR
    order.

    Raise a UserError if the model fails on the image.
    """
    batch = pseudo_collate([model.prepare_image(image)])
    try:
        with torch.no_grad():
            inputs = model.network.data_preprocessor(batch, False)['inputs']
            maps: Sequence[Tensor] = model.network.backbone(inputs)
    except Exception as error:  # networks raise errors of any type
        raise make_failure(image, error) from error
    return pool_maps(maps)[0]


def pool_maps(maps: Sequence[Tensor]) -> Features:
    """Return the features of pictures from the feature maps (pictures, channels, height, width).

    Each map is averaged over its positions and scaled to length 1, so that all maps count alike.
    The result has length 1 too, so distances are from 0 to 2.
    """
    pooled = [normalize(each.float().mean((2, 3)), dim=1) for each in maps]
    return normalize(torch.cat(pooled, 1), dim=1).cpu().numpy()
