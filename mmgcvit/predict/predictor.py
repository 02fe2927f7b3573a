"""Predict images with trained models: the base class of the tasks' predictors."""

import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, cast, overload

import cv2
import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from ..datasets.decoding import DecodingSettings
from ..errors import UserError, get_first_line
from ..models.layers.arguments import make_pair
from .drawing import Colour, draw_prediction
from .inputs import ImageLike, convert_to_array
from .results import Outcome, P, Prediction, Record
from .thresholds import ScoreThr, ScoreThresholds
from .tile_sizes import MIN_TILE

# Pictures are enlarged until their shorter side has the first length in pixels, or their longer
# side the second.
MIN_DRAWN_SIDE = 224
MAX_ENLARGED_SIDE = 4096
# Parts of the errors of torch and NumPy when memory runs out
OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory|Unable to allocate", re.IGNORECASE)
# What a single picture or video may raise: errors of files, and of OpenCV and memory for very large
# ones. Others are faults of the program.
PICTURE_ERRORS = (UserError, OSError, MemoryError, cv2.error)


@dataclass(eq=False)
class Predictor(ABC, Generic[P]):
    """A trained model, as returned by :func:`mmgcvit.load`. Each task has a subclass.

    Threads may share it, since calls do not change it. ``P`` is the type of its predictions.
    """

    task: ClassVar[str]  # 'detection', 'segmentation' or 'classification'
    # Whether it finds objects, which have confidence thresholds, can be filtered by class and
    # measured
    finds_objects: ClassVar[bool] = False
    can_tile: ClassVar[bool] = True  # whether it can predict large images in tiles

    network: BaseModel  # built by OpenMMLab's registry
    # The config's test pipeline without the transforms that load images and annotations
    pipeline: Compose
    decoding: DecodingSettings  # how the config's test pipeline decodes image files
    classes: list[str]
    palette: list[Colour]  # RGB, for each class
    config: Path | None = None  # None if the model was not loaded from a config
    checkpoint: str | None = None  # the file or URL of the weights
    weights_limit: str | None = None  # what limits their use, such as 'not for commercial use'
    # Side in pixels of the tiles in which larger images are predicted; not of classifiers
    tiles: int | None = None
    tiles_per_batch: int = 4

    @classmethod
    def adapt_config(cls, model_cfg: ConfigDict) -> None:
        """Change a copy of the config of a model before it is built for prediction."""

    @abstractmethod
    def read_sample(self, sample: BaseDataElement) -> P:
        """Convert the data sample that the network returns for one image to a prediction."""

    def predict_in_tiles(self, image: NDArray[np.uint8], side: int) -> P:
        """Predict a large image (height, width, 3) in BGR order in tiles of ``side`` pixels.

        Raise a UserError for a model that predicts whole images.
        """
        raise self.make_error_of_tiles()

    def __repr__(self) -> str:
        device = 'the CPU'
        if self.device.type == 'cuda':
            device = f'{torch.cuda.get_device_name(self.device)} ({self.device})'
        classes = '1 class' if len(self.classes) == 1 else f'{len(self.classes)} classes'
        return f'{self.task}, {classes}, on {device}: {self.checkpoint}'

    @property
    def device(self) -> torch.device:
        """Device of the network's parameters."""
        return next(self.network.parameters()).device

    @property
    def limit(self) -> float:
        """The highest number of detections in an image or a tile; infinite for other models than
        detectors.
        """
        return math.inf

    @property
    def thresholds(self) -> ScoreThresholds:
        """The confidence thresholds of a detector. Raise a UserError for another model."""
        raise self.make_error_of_thresholds()

    @property
    def scale(self) -> tuple[int, int] | None:
        """The longer and the shorter side to which the pipeline resizes images, in pixels.

        None if it does not resize them.
        """
        for step in self.pipeline.transforms:
            if getattr(step, 'scale', None):
                first, second = make_pair(step.scale)
                return max(first, second), min(first, second)
        return None

    # A str is a sequence of str too, but one image.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, images: ImageLike, batch_size: int = 1, tiles: int | None = None
    ) -> P: ...

    @overload
    def __call__(
        self, images: Sequence[ImageLike], batch_size: int = 1, tiles: int | None = None
    ) -> list[P]: ...

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike],
        batch_size: int = 1,
        tiles: int | None = None,
    ) -> P | list[P]:
        """Predict one or several images.

        Args:
            images: An image, or several in a list or tuple (see :func:`.inputs.convert_to_array`).
            batch_size: Number of images (or tiles) in a batch.
            tiles: Side in pixels of overlapping tiles to predict. Default: as in the training.

        Returns:
            :class:`Detections`, :class:`Segmentation` or :class:`Classification`. For a list or
            tuple, a list of them.

        Raises:
            UserError: An image cannot be read or predicted, or an argument is invalid.
        """
        if not isinstance(images, list | tuple):
            return self([cast(ImageLike, images)], batch_size, tiles)[0]
        batch_size = check_integer('batch_size', batch_size, 1)
        model = self if tiles is None else self.with_tiles(tiles, batch_size)
        predictions = []
        for begin in range(0, len(images), batch_size):
            batch = images[begin : begin + batch_size]
            arrays = [convert_to_array(image, self.decoding) for image in batch]
            for index, outcome in enumerate(model.predict_batch(arrays), start=begin):
                is_path = isinstance(images[index], str | os.PathLike)
                predictions.append(outcome.get(images[index] if is_path else f'image {index}'))
        return predictions

    def with_tiles(self, side: int, batch_size: int) -> 'Predictor[P]':
        """Return this model with other tiles. Raise a UserError for a model of whole images, and
        for a small side.
        """
        if not self.can_tile:
            raise self.make_error_of_tiles()
        side = 0 if side == 0 else check_integer('tiles', side, MIN_TILE, 'px')
        return replace(self, tiles=side, tiles_per_batch=batch_size)

    def with_score_thr(self, score_thr: ScoreThr) -> 'Predictor[P]':
        """Return this detector with another confidence threshold for all classes, or with others
        for the classes that a mapping names.

        Raise a UserError for another model, a class that it does not have, or a threshold that is
        not a number from 0 to 1.
        """
        raise self.make_error_of_thresholds()

    def make_error_of_thresholds(self) -> UserError:
        """Make the error for confidence thresholds of a model that finds no objects."""
        return UserError(
            f'score_thr is only for detectors, and this is a {self.task} model. Remove score_thr',
            arguments=['score_thr'],
        )

    def make_error_of_tiles(self) -> UserError:
        """Make the error for ``tiles`` of a model that predicts whole images."""
        return UserError(
            f'a {self.task} model predicts whole images. Remove tiles', arguments=['tiles']
        )

    def describe_settings(self) -> list[str]:
        """Return lines about the settings with which the model predicts."""
        return []

    def format_count(self, count: int, total: int) -> str:
        """Return how many of the counted things (:attr:`.Task.counted`) are of a class."""
        return f'{count:,} ×'

    def list_categories(self) -> list[Record]:
        """Return the id and the name of each class, as they are written to JSON files."""
        return [{'id': label, 'name': name} for label, name in enumerate(self.classes)]

    def draw(
        self, image: ImageLike, prediction: Prediction | None = None, with_labels: bool = True
    ) -> NDArray[np.uint8]:
        """Draw a prediction on a copy of an image. If ``prediction`` is None, predict the image
        first. Without ``with_labels``, leave out class names and scores.

        Return a picture (height, width, 3) uint8 in BGR order. If its shorter side were less than
        224 px, it is enlarged to 224 px, so that text fits, unless the longer side would exceed
        4096 px. Raise a UserError for a prediction of another image size or model, and for other
        objects.
        """
        pixels = convert_to_array(image, self.decoding)
        if prediction is None:
            prediction = self(pixels)
        check_drawable(prediction, pixels, len(self.palette))
        shorter, longer = sorted(pixels.shape[:2])
        scale = max(1.0, min(MIN_DRAWN_SIDE / shorter, MAX_ENLARGED_SIDE / longer))
        return draw_prediction(
            pixels, prediction, self.palette, scale=scale, with_labels=with_labels
        )

    def predict_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Outcome[P]]:
        """Predict images (height, width, 3) in BGR order.

        An image that fails does not stop the others.
        """
        try:
            return [Outcome(prediction) for prediction in self.predict_together(images)]
        except UserError as error:
            if len(images) == 1:
                return [Outcome(error=error)]
        return [outcome for image in images for outcome in self.predict_batch([image])]

    def predict_together(self, images: Sequence[NDArray[np.uint8]]) -> list[P]:
        """Predict images whose inputs have one shape, or a single image in tiles if it is large.

        Raise a UserError for others: in a batch, they would be padded, which changes predictions.
        Raise one too if the test pipeline or the network fails.
        """
        if self.tiles and any(max(image.shape[:2]) > self.tiles for image in images):
            if len(images) > 1:
                raise UserError('images in tiles are predicted one by one')
            return [self.predict_in_tiles(images[0], self.tiles)]
        return [self.read_sample(sample) for sample in self.compute_samples(images)]

    def compute_samples(self, images: Sequence[NDArray[np.uint8]]) -> Sequence[BaseDataElement]:
        """Return the data samples that the network returns for images whose inputs have one shape.

        Raise a UserError for other images, and if the test pipeline or the network fails.
        """
        prepared = [self.prepare_image(image) for image in images]
        if len({sample['inputs'].shape for sample in prepared}) > 1:
            raise UserError('the inputs have different shapes')
        with torch.no_grad():
            batch = pseudo_collate(prepared)
            try:
                # test_step calls the data_preprocessor. It returns boxes and masks in pixels of
                # the original image.
                return self.network.test_step(batch)
            # Networks raise errors of any type for sizes that they do not support, and if memory
            # runs out.
            except Exception as error:
                raise make_failure(images[0], error) from error

    def prepare_image(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """Apply the test pipeline to an image (height, width, 3) in BGR order.

        Raise a UserError if it fails.
        """
        size = image.shape[:2]
        sample = {
            'img': image,
            'img_id': 0,
            'img_path': None,
            'img_shape': size,
            'ori_shape': size,
            'scale_factor': (1.0, 1.0),  # until the pipeline resizes the image
        }
        try:
            return self.pipeline(sample)
        except Exception as error:  # transforms raise errors of any type
            raise make_failure(image, error) from error

    def to_coco(self, prediction: Prediction, image_id: int = 1) -> list[Record]:
        """Convert a prediction of this model to records in COCO's results format, as in
        ``predictions.json``.
        """
        records = prediction.make_records(self.list_categories())
        return [{'image_id': image_id, **record} for record in records]


def check_integer(name: str, value: object, minimum: int, unit: str = '') -> int:
    """Return an argument as an int. Raise a UserError if it is not one, or less than a minimum."""
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or int(cast(int, value)) < minimum:
        expected = f'an integer, at least {minimum} {unit}'.rstrip()
        raise UserError(f'{name}={value!r:.40}: expected {expected}')
    return int(cast(int, value))


def check_drawable(prediction: object, image: NDArray[np.uint8], num_classes: int) -> None:
    """Raise a UserError unless an object is a prediction for an image (height, width, 3), of a
    model with so many classes or fewer.
    """
    if not isinstance(prediction, Prediction):
        raise UserError(
            f'cannot draw {type(prediction).__name__}. Expected what the model returns for this '
            'image: Detections, Segmentation or Classification'
        )
    if prediction.max_label >= num_classes:
        raise UserError(
            f'cannot draw a prediction of class {prediction.max_label}: the model has '
            f'{num_classes} classes, counted from 0. Draw it with the model that predicted it'
        )
    size = image.shape[:2]
    if prediction.size is not None and tuple(prediction.size) != size:
        raise UserError(
            f'cannot draw a prediction for an image of (height, width) {tuple(prediction.size)} on '
            f'one of {size}. Pass the image that was predicted'
        )


def make_failure(image: NDArray[np.uint8], error: Exception) -> UserError:
    """Make the error of an image (height, width, 3) on which other packages raise ``error``."""
    reason = get_first_line(error)
    advice = ''
    if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(reason):
        advice = '. Predict it in tiles: tiles=SIDE'
    return UserError(
        'the test pipeline or the network fails on the image whose height and width are '
        f'{image.shape[:2]} ({reason}){advice}',
        arguments=['tiles'] if advice else [],
    )


def explain_skipped(path: str, error: Exception) -> str:
    """Return which picture or video is skipped, and why: one of :data:`PICTURE_ERRORS`."""
    if not isinstance(error, UserError):
        return f'{path}: {get_first_line(error)}'
    return str(error) if path in str(error) else f'{path}: {error}'
