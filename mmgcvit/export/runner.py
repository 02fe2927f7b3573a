"""Run a file of ``mmgcvit export`` on images: with NumPy, onnxruntime, OpenCV and Pillow, without torch.

This one file imports nothing else of mmgcvit. Copy it beside your own code, on a machine without torch::

    from runner import Runner

    found = Runner('detector.onnx')('photo.jpg')
    print(found.boxes, found.scores, found.labels)
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from PIL import Image

# OpenCV's filters by the names of the test pipelines; Pillow calls its own the same.
CV2 = {'nearest': cv2.INTER_NEAREST, 'bilinear': cv2.INTER_LINEAR, 'bicubic': cv2.INTER_CUBIC, 'area': cv2.INTER_AREA}


@dataclass(frozen=True)
class Detections:
    """The objects in an image, the highest-scoring first."""

    boxes: np.ndarray  # (n, 4) float32, left, top, right, bottom in pixels of the image
    scores: np.ndarray  # (n,) float32, from 0 to 1
    labels: np.ndarray  # (n,) int64, class numbers
    class_names: list[str]
    masks: np.ndarray | None = None  # (n, height, width) bool; None if the model has boxes only


@dataclass(frozen=True)
class Segmentation:
    """The class of every pixel: (height, width) int32."""

    label_map: np.ndarray


@dataclass(frozen=True)
class Classification:
    """The class of an image: its number, name and score, and the scores of all classes, (classes,) float32."""

    label: int
    class_name: str
    score: float
    scores: np.ndarray


Prediction = Detections | Segmentation | Classification


class Runner:
    """A file of ``mmgcvit export`` that is called on images.

    Args:
        path: The file.
        score_thr: Objects of lower scores are left out.
        providers: onnxruntime's, by name.

    Attributes:
        task: ``'detection'``, ``'segmentation'`` or ``'classification'``.
        classes: The names of the classes, by their numbers.
        metadata: All that the file says of itself, as text.
    """

    def __init__(
        self, path: str | Path, score_thr: float = 0.3, providers: tuple[str, ...] = ('CPUExecutionProvider',)
    ) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=list(providers))
        self.metadata = dict(self.session.get_modelmeta().custom_metadata_map)
        self.score_thr = score_thr
        self.task = self.metadata.get('task')
        if self.task not in ('detection', 'segmentation', 'classification'):
            raise ValueError(f'{path} holds {self.task}; expected a whole model, as mmgcvit export writes it')
        self.classes = json.loads(self.metadata['classes'])

    def __call__(self, image: str | Path | np.ndarray) -> Prediction:
        """Predict a file, or an array (height, width, 3) uint8 in the order **blue, green, red** of ``cv2.imread``."""
        image = as_array(image)
        prepared = self.prepare(image)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, {'images': self.normalise(prepared)}), strict=True))
        if self.task == 'classification':
            (scores,) = outputs['scores']
            label = int(scores.argmax())
            return Classification(label, self.classes[label], float(scores[label]), scores)
        if self.task == 'segmentation':
            size = image.shape[1::-1]
            logits = [cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in outputs['logits'][0]]
            return Segmentation(np.argmax(logits, axis=0).astype(np.int32))
        return self.read_objects(outputs, prepared.shape[:2], image.shape[:2])

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """An image resized and cropped as the test pipeline does: (height, width, 3) uint8 to the same."""
        size, interpolation = self.choose_size(image.shape[:2]), self.metadata['interpolation']
        if self.metadata['backend'] == 'pillow':
            resized = np.array(Image.fromarray(image).resize(size, Image.Resampling[interpolation.upper()]))
        else:
            resized = cv2.resize(image, size, interpolation=CV2[interpolation])
        # Width and height, out of the middle.
        crop = json.loads(self.metadata['crop']) or size
        top, left = (max(0, round((have - want) / 2)) for have, want in zip(size[::-1], crop[::-1], strict=True))
        return resized[top : top + crop[1], left : left + crop[0]]

    def choose_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height that an image of height and width ``size`` is resized to."""
        scale, (height, width) = json.loads(self.metadata['scale']), size
        edge = self.metadata['edge']
        if edge:
            # mmpretrain rounds down, mmcv to the nearest.
            if edge == 'width' or (edge == 'short' and width < height) or (edge == 'long' and width > height):
                return scale[0], int(scale[0] * height / width)
            return int(scale[0] * width / height), scale[0]
        if not json.loads(self.metadata['keep_ratio']):
            return scale[0], scale[1]
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        return int(width * factor + 0.5), int(height * factor + 0.5)

    def normalise(self, image: np.ndarray) -> np.ndarray:
        """(height, width, 3) uint8, blue, green, red, to the network's input (1, 3, height, width) float32."""
        if self.metadata['channel_order'] == 'rgb':
            image = image[..., ::-1]
        mean, std = (np.array(json.loads(self.metadata[name]), np.float32) for name in ('mean', 'std'))
        return np.ascontiguousarray(((image.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None])

    def read_objects(
        self, outputs: dict[str, np.ndarray], size: tuple[int, int], original: tuple[int, int]
    ) -> Detections:
        """The objects in the image as it was, from those in the image of ``size``, each height and width."""
        kept = outputs['scores'] >= self.score_thr
        height, width = (before / after for before, after in zip(original, size, strict=True))
        boxes = outputs['boxes'][kept] * np.array([width, height, width, height], np.float32)
        labels, masks = outputs['labels'][kept], None
        if 'masks' in outputs:
            least = json.loads(self.metadata['mask_thr_binary'])
            pasted = [paste(*each, original) >= least for each in zip(outputs['masks'][kept], boxes, strict=True)]
            masks = np.array(pasted, bool).reshape(-1, *original)
        return Detections(boxes, outputs['scores'][kept], labels, [self.classes[label] for label in labels], masks)


def as_array(image: str | Path | np.ndarray) -> np.ndarray:
    """An image as an array (height, width, 3) uint8; a ValueError if it is not one."""
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(f'an image has shape {image.shape} and {image.dtype}; expected (height, width, 3), uint8')
        return image
    loaded = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if loaded is None:
        raise ValueError(f'{image} cannot be read as an image')
    return loaded


def paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) of what is inside of a box, in an image of height and width ``size``: bilinear, 0 outside."""
    rows = weigh_bins(size[0], box[1], box[3], mask.shape[0])
    columns = weigh_bins(size[1], box[0], box[2], mask.shape[1])
    return rows @ mask @ columns.T


def weigh_bins(pixels: int, begin: float, end: float, bins: int) -> np.ndarray:
    """The share of each of ``bins`` between ``begin`` and ``end`` at the middle of each pixel: (pixels, bins)."""
    middles = np.arange(pixels, dtype=np.float32) + 0.5
    places = (middles - begin) / max(end - begin, 1e-6) * bins - 0.5
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(bins, dtype=np.float32)))
