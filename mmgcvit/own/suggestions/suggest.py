"""Suggest which pictures to label next."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from rich.progress import track

from ...datasets.checks.sources import check_presence
from ...datasets.loading import build_dataset
from ...datasets.mirroring import mirrors
from ...errors import UserError, shorten
from ...host.config import LOADERS, get_type_name, iter_dicts
from ...host.runners import log_warning, silence_output
from ...predict.inputs import convert_to_array
from ...predict.predictor import PICTURE_ERRORS, Predictor, explain_skipped
from .features import Features, compute_features
from .outputs import Suggestion
from .ranking import rank
from .uncertainty import METERS, Uncertainty

# At most so many training pictures are compared with, evenly spaced in their list.
MAX_KNOWN = 1000


def suggest(
    model: Predictor[Any], pictures: Sequence[str], known: Features, with_mirrored: bool
) -> tuple[list[Suggestion], list[str]]:
    """Rank pictures by how much the model may learn from their labels.

    Args:
        model: The model.
        pictures: The files.
        known: The features of the training pictures.
        with_mirrored: Whether the model should predict the same if a picture is mirrored.

    Returns:
        The ranking, and why other pictures could not be read or predicted.
    """
    meter = METERS[model.task](model)
    measured: list[Uncertainty] = []
    features = []
    names = []
    failures = []
    for path in track(pictures, description='pictures', disable=not sys.stdout.isatty()):
        try:
            image = convert_to_array(path, model.decoding)
            uncertainty = meter.measure(image, with_mirrored)
            described = compute_features(model, image)
        except PICTURE_ERRORS as error:
            failures.append(explain_skipped(path, error))
            continue
        names.append(path)
        measured.append(uncertainty)
        features.append(described)
    overall = np.array([each.overall for each in measured], np.float64)
    ranking = rank(overall, np.array(features, np.float32).reshape(len(features), -1), known)
    suggestions = [
        Suggestion(names[each.index], measured[each.index], each.distance) for each in ranking
    ]
    return suggestions, failures


def describe_training_pictures(model: Predictor[Any], cfg: Config) -> Features:
    """Return the features of a run's training pictures. ``cfg`` has the paths as they are now.

    Pictures that cannot be read are left out, as in a training. Raise a UserError if none can, or
    the config names no pictures.
    """
    check_presence(cfg, LOADERS[:1])
    with silence_output():
        dataset = build_dataset(cfg.train_dataloader.dataset, cfg.default_scope)
    number = min(len(dataset), MAX_KNOWN)
    features = []
    unreadable = []
    indices = np.linspace(0, len(dataset) - 1, number).astype(int).tolist()
    for index in track(indices, description='training', disable=not sys.stdout.isatty()):
        path = dataset.get_data_info(index).get('img_path')
        try:
            features.append(compute_features(model, convert_to_array(path, model.decoding)))
        except PICTURE_ERRORS:
            unreadable.append(str(path))
    if not features:
        raise UserError(
            f'no training picture of the run can be read ({shorten(unreadable)}). Run '
            "'mmgcvit check-data CONFIG'"
        )
    if unreadable:
        log_warning(f'training pictures that cannot be read are left out: {shorten(unreadable)}')
    return np.array(features, np.float32)


def trains_mirrored(cfg: Config) -> bool:
    """Return whether a config mirrors training images, so that predictions should not depend on
    it.
    """
    steps = iter_dicts([cfg.get('train_dataloader')])
    return any(mirrors(step) for step in steps if get_type_name(step) == 'RandomFlip')
