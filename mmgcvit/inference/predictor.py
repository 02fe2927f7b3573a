"""A trained model that is called on images: what the three tasks share."""

import warnings
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..datasets.checks.images import Loader
from ..errors import UserError, first_line
from .classes import Colour
from .images import ImageLike, as_array
from .results import Prediction


class Predictor(ABC):
    """A trained model; :func:`mmgcvit.load` makes one.

    Args:
        inferencer: The host's, its weights loaded.
        loader: How its data pipeline decodes files.
        classes: The names of its classes.
        palette: Their colours, red, green, blue.

    Attributes:
        task: ``'detection'``, ``'segmentation'`` or ``'classification'``.
        classes: The names of its classes, by their numbers.
    """

    # Of each kind: the scope by which a config says that it is meant; the host's class that draws.
    task: str
    scope: str
    visualizer: str

    def __init__(self, inferencer: Any, loader: Loader, classes: list[str], palette: list[Colour]) -> None:
        self.inferencer = inferencer
        self.loader = loader
        self.classes = classes
        self.palette = palette

    @staticmethod
    @abstractmethod
    def inferencer_of(cfg: Config, device: torch.device) -> Any:
        """The host's Inferencer of a config, with random weights."""

    @abstractmethod
    def prepared(self, image: np.ndarray) -> Any:
        """An image (height, width, 3), blue, green, red, after the test pipeline."""

    @abstractmethod
    def prediction_of(self, sample: Any) -> Prediction:
        """A host's prediction for one image, in plain values."""

    @abstractmethod
    def drawn(self, image: np.ndarray, prediction: Prediction) -> np.ndarray:
        """Both of shape (height, width, 3), red, green, blue."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.inferencer.model.parameters()).device

    def __call__(self, images: ImageLike | Sequence[ImageLike], batch_size: int = 1) -> Prediction | list[Prediction]:
        """Predict.

        Args:
            images: An image, or several in a list or tuple. An image is a path; an array of shape (height, width, 3),
                in the order **blue, green, red**, as ``cv2.imread`` gives it; or an image of Pillow's.
            batch_size: So many images at a time.

        Returns:
            :class:`Detections`, :class:`Segmentation` or :class:`Classification`; of several images a list of them.

        Raises:
            UserError: An image cannot be read, or the network cannot take it; says which.
        """
        if not isinstance(images, (list, tuple)):
            return self([images])[0]
        if batch_size < 1:
            raise UserError(f'batch_size={batch_size}: expected at least 1')
        found = []
        for begin in range(0, len(images), batch_size):
            batch = [as_array(image, self.loader) for image in images[begin : begin + batch_size]]
            for number, outcome in enumerate(self.outcomes(batch), start=begin):
                if isinstance(outcome, UserError):
                    what = images[number] if isinstance(images[number], str) else f'image {number}'
                    raise UserError(f'{what}: {outcome}')
                found.append(outcome)
        return found

    def draw(self, image: ImageLike, prediction: Prediction | None = None) -> np.ndarray:
        """Draw what is predicted for an image into it, as the host does.

        Args:
            image: As for a call.
            prediction: What a call has returned for it, or a part of that; None to have it predicted.

        Returns:
            (height, width, 3) uint8, blue, green, red, as ``cv2.imwrite`` takes it. Pictures of classes that are
            smaller than 224 px are enlarged, so that words fit in.
        """
        image = as_array(image, self.loader)
        if prediction is None:
            prediction = self(image)
        with self.in_scope(), warnings.catch_warnings():
            # Of words that are cut off at an edge.
            warnings.simplefilter('ignore')
            return np.ascontiguousarray(self.drawn(image[..., ::-1], prediction)[..., ::-1])

    def outcomes(self, images: Sequence[np.ndarray]) -> list[Prediction | UserError]:
        """Predict for a batch; what the network cannot take has an error in its place.

        Args:
            images: Each (height, width, 3), blue, green, red.
        """
        outcomes: list[Any] = [None] * len(images)
        groups = defaultdict(list)
        for number, image in enumerate(images):
            try:
                packed = self.packed(image)
            except UserError as error:
                outcomes[number] = error
            else:
                groups[self.group_of(packed)].append((number, packed))
        for group in groups.values():
            numbers, batch = zip(*group, strict=True)
            for number, outcome in zip(numbers, self.outcomes_of(batch), strict=True):
                outcomes[number] = outcome
        return outcomes

    def packed(self, image: np.ndarray) -> Any:
        """An image (height, width, 3), blue, green, red, after the test pipeline.

        Raises:
            UserError: The pipeline has no room in it for what it does.
        """
        try:
            with self.in_scope():
                return self.prepared(image)
        # Steps of a pipeline raise errors of any class.
        except Exception as error:
            height, width = image.shape[:2]
            if isinstance(error, cv2.error) and error.func == 'resize':
                reason = f'{width} x {height} pixels are too thin: resized, a side is shorter than one; crop the image'
            else:
                reason = f'the test pipeline cannot prepare it ({first_line(error)})'
            raise UserError(reason) from None

    def group_of(self, packed: Any) -> Any:
        """Images of one group go into one batch: those of one shape, as mmseg and mmpretrain ask for."""
        return tuple(packed['inputs'].shape)

    def outcomes_of(self, batch: Sequence[Any]) -> list[Prediction | UserError]:
        """Predict for prepared images of one group; where that fails, for each alone."""
        try:
            with self.in_scope():
                samples = self.inferencer.forward(self.inferencer.collate_fn(list(batch)))
            return [self.prediction_of(sample) for sample in samples]
        except UserError as error:
            reason = str(error)
        # What networks raise: of sizes that they refuse (ValueError), of memory and kernels (RuntimeError).
        except (ValueError, RuntimeError) as error:
            reason = f'the network cannot take it ({first_line(error)})'
        if len(batch) > 1:
            return [outcome for packed in batch for outcome in self.outcomes_of([packed])]
        return [UserError(reason)]

    def in_scope(self) -> Any:
        """The scope of its host, which another model may have changed since."""
        return DefaultScope.overwrite_default_scope(self.scope)

    def names(self, labels: Sequence[int]) -> list[str]:
        """The names of classes by their numbers."""
        return [self.classes[label] if label < len(self.classes) else f'class {label}' for label in labels]
