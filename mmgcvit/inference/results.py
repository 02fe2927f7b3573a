"""What a model predicts, as plain values: NumPy arrays, names and numbers."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Detections:
    """The objects that a detector finds in an image, the surest first.

    Attributes:
        boxes: (n, 4) float32, left, top, right, bottom in pixels of the image.
        scores: (n,) float32, from 0 to 1.
        labels: (n,) int64, numbers of classes, from 0.
        class_names: The n names of these.
        masks: (n, height, width) bool, None where the model predicts boxes only.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Segmentation:
    """The class of every pixel of an image.

    Attributes:
        label_map: (height, width) int32, numbers of classes, from 0.
        labels: (n,) int64, those that occur, the largest area first.
        class_names: The n names of these.
        areas: (n,) int64, how many pixels each has.
    """

    label_map: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    areas: np.ndarray


@dataclass(frozen=True)
class Classification:
    """The class of an image.

    Attributes:
        label: The number of the likeliest class, from 0.
        class_name: Its name.
        score: Its score, from 0 to 1.
        scores: (classes,) float32, the scores of all classes.
    """

    label: int
    class_name: str
    score: float
    scores: np.ndarray


Prediction = Detections | Segmentation | Classification
