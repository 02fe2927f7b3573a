"""Load images of a dataset with their ground truth, which has the types of predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from ...errors import UserError, get_first_line
from ...host.runners import get_image_name
from ...predict.inputs import convert_to_bgr
from ...predict.results import Prediction
from .task_evaluation import TaskEvaluation


@dataclass(frozen=True, eq=False)
class Sample:
    """An image of a dataset."""

    path: Path
    image: NDArray[np.uint8]  # (height, width, 3) in BGR order
    ground_truth: Prediction | None


def load_sample(
    dataset: BaseDataset,
    index: int,
    classes: Sequence[str],
    evaluation: TaskEvaluation[Any, Any],
) -> Sample:
    """Load a sample of a dataset (see :func:`.build_dataset`) of the evaluation's task.

    Raise a UserError that names the image if it cannot be loaded.
    """
    try:
        sample = apply_pipeline(dataset, index)
        ground_truth = evaluation.convert_ground_truth(sample['data_samples'], classes)
        image = sample['inputs'].permute(1, 2, 0)
        if image.is_floating_point():  # as transforms of colours return
            image = image.round().clamp(0, 255).byte()
        image = image.numpy()
        path = sample['data_samples'].get('img_path')
        if not path:
            # Samples of CIFAR have no path. Their images are RGB.
            path = f'{index:06d}.png'
            image = image[..., ::-1]
        return Sample(Path(path), convert_to_bgr(image), ground_truth)
    except UserError as error:
        name = get_image_name(dataset.get_data_info(index))
        raise UserError(f'{name} cannot be loaded: {error}') from error


def apply_pipeline(dataset: BaseDataset, index: int) -> dict[str, Any]:
    """Return a sample of a dataset as its pipeline packs it. Raise a UserError if it fails."""
    try:
        return dataset[index]
    # Transforms raise errors of any type on damaged files and annotations.
    except Exception as error:
        raise UserError(get_first_line(error)) from error
