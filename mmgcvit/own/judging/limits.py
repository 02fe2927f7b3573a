"""Say in which images a detector may have found more than it can return."""

from collections.abc import Sequence
from typing import Any

from ...errors import format_count, shorten
from ...predict.predictor import Predictor


def format_limit(names: Sequence[str], num_images: int, model: Predictor[Any]) -> str:
    """Return a message about images with as many detections as a detector returns at most."""
    tiles = f'tiles under {model.tiles} px' if model.tiles else 'tiles'
    return (
        f'in {len(names)} of {format_count(num_images, "image")} ({shorten(names)}), the model '
        f'returned as many detections as it can, {model.limit:,}, so counts may be too low. '
        f'Predict in {tiles} (--tiles SIDE), or raise max_per_img and nms_pre in the test_cfg of '
        'its config'
    )
