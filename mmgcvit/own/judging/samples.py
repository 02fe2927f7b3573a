"""Load images of a dataset with their ground truth, which has the types of predictions."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from numpy.typing import NDArray

from ...datasets.checks.sources import iter_unwrapped_datasets
from ...errors import UserError, get_first_line
from ...host.config import get_type_name, iter_transforms
from ...host.runners import build_in_scope, get_image_name
from ...predict.inputs import convert_to_bgr
from ...predict.results import Prediction
from .evaluations import find_evaluation
from .task_evaluation import TaskEvaluation


def build_dataset(
    settings: ConfigDict, scope: str, augmented: bool = False, masks: bool = True
) -> BaseDataset:
    """Build the dataset of a config with a pipeline that only loads images and annotations, unless
    ``augmented``.

    With ``masks=False`` it loads no masks of objects, which take gigabytes in large images with
    hundreds of objects. Raise a UserError if the scope has no evaluation, or the dataset cannot be
    built, for example because its annotation file is invalid.
    """
    evaluation = find_evaluation(scope)
    settings = deepcopy(settings)
    if not augmented:
        # The datasets inside wrappers such as ConcatDataset.
        for inner in iter_unwrapped_datasets(settings):
            inner.pipeline = make_loading_pipeline(inner, evaluation, masks)
    try:
        with build_in_scope(scope):
            return DATASETS.build(settings)
    # Datasets raise errors of any type for invalid file lists and annotation files.
    except Exception as error:
        raise UserError(
            f'the dataset cannot be loaded ({get_first_line(error)}). Run '
            "'mmgcvit check-data CONFIG'"
        ) from error


def make_loading_pipeline(
    settings: ConfigDict, evaluation: TaskEvaluation[Any, Any], masks: bool
) -> list[dict[str, Any]]:
    """Make the part of a dataset's pipeline that loads images and annotations."""
    # Also those inside of wrappers such as SkipUnreadable, which a run's config has
    steps = [*iter_transforms(settings)]
    images = [step for step in steps if get_type_name(step).startswith(('LoadImage', 'ApplyExif'))]
    # Not FilterAnnotations, which leaves out small objects of a training
    annotations = [
        step
        for step in steps
        if 'Annotations' in get_type_name(step) and 'Filter' not in get_type_name(step)
    ]
    loading = evaluation.list_loading_steps(images, annotations, settings, masks)
    return [*loading, {'type': evaluation.task.packing}]


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
    """Load a sample of a dataset (see :func:`build_dataset`) of the evaluation's task.

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
