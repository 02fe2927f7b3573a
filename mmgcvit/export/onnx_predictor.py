"""Run inference with an ONNX file of ``mmgcvit export``, without torch.

This file needs NumPy, onnxruntime, OpenCV and Pillow, but no other file of mmgcvit. Copy it into
your own project, also on a machine without torch::

    from onnx_predictor import OnnxPredictor

    detections = OnnxPredictor('detector.onnx')('photo.jpg')
    print(detections.boxes, detections.scores, detections.labels)
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from PIL import Image

# OpenCV's interpolation flags by mmcv's names, which test pipelines use. Pillow's names are mmcv's
# in upper case.
CV2_INTERPOLATION = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
}


@dataclass(frozen=True)
class Detections:
    """The objects in an image, the highest-scoring first."""

    boxes: np.ndarray  # (n, 4) float32: [x1, y1, x2, y2] in pixels of the image
    scores: np.ndarray  # (n,) float32, from 0 to 1
    labels: np.ndarray  # (n,) int64, class indices
    class_names: list[str]
    masks: np.ndarray | None = (
        None  # (n, height, width) bool; None if the model predicts boxes only
    )


@dataclass(frozen=True)
class Segmentation:
    """The class index of every pixel, (height, width) int32."""

    label_map: np.ndarray


@dataclass(frozen=True)
class Classification:
    """The class of an image: its index, name and score, and the scores of all classes, (classes,)
    float32.
    """

    label: int
    class_name: str
    score: float
    scores: np.ndarray


Prediction = Detections | Segmentation | Classification


class OnnxPredictor:
    """Runs inference with an ONNX file of ``mmgcvit export``; call it with an image.

    Args:
        path: The ONNX file.
        score_thr: Objects with lower scores are removed. Default: the threshold that ``mmgcvit
            predict`` uses.
        providers: Names of onnxruntime's execution providers.
    """

    def __init__(
        self,
        path: str | Path,
        score_thr: float | None = None,
        providers: tuple[str, ...] = ('CPUExecutionProvider',),
    ) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=list(providers))
        self.metadata = dict(self.session.get_modelmeta().custom_metadata_map)
        self.score_thr = (
            float(self.metadata.get('score_thr', 0)) if score_thr is None else score_thr
        )
        self.task = self.metadata.get('task')
        if self.task not in ('detection', 'segmentation', 'classification'):
            raise ValueError(
                f"{path} has the unknown task {self.task}. Choose a file that 'mmgcvit export' "
                'wrote'
            )
        self.classes = json.loads(self.metadata['classes'])

    def __call__(self, image: str | Path | np.ndarray) -> Prediction:
        """Run inference on an image: a file, or an array (height, width, 3) uint8 in **BGR** order,
        like OpenCV's.
        """
        image = read_image(image)
        inputs = self.preprocess(image)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, {'images': inputs}), strict=True))
        if self.task == 'classification':
            (scores,) = outputs['scores']
            label = int(scores.argmax())
            return Classification(label, self.classes[label], float(scores[label]), scores)
        if self.task == 'segmentation':
            size = image.shape[1::-1]
            logits = [
                cv2.resize(channel, size, interpolation=cv2.INTER_LINEAR)
                for channel in outputs['logits'][0]
            ]
            return Segmentation(np.argmax(logits, axis=0).astype(np.int32))
        return self.postprocess(outputs, inputs.shape[2:], image.shape[:2])

    def preprocess(self, image: np.ndarray) -> np.ndarray:
        """Turn a BGR image (height, width, 3) uint8 into the network's input (1, 3, h, w) float32."""
        # Pillow and OpenCV take the size as (width, height).
        size, interpolation = self.choose_size(image.shape[:2]), self.metadata['interpolation']
        if self.metadata['backend'] == 'pillow':
            resized = np.array(
                Image.fromarray(image).resize(size, Image.Resampling[interpolation.upper()])
            )
        else:
            resized = cv2.resize(image, size, interpolation=CV2_INTERPOLATION[interpolation])
        # The size of the centre crop, also (width, height).
        crop = json.loads(self.metadata['crop']) or size
        top, left = (
            max(0, round((side - target) / 2))
            for side, target in zip(size[::-1], crop[::-1], strict=True)
        )
        cropped = resized[top : top + crop[1], left : left + crop[0]]
        if self.metadata['channel_order'] == 'rgb':
            cropped = cropped[..., ::-1]
        mean, std = (
            np.array(json.loads(self.metadata[name]), np.float32) for name in ('mean', 'std')
        )
        return np.ascontiguousarray(
            ((cropped.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None]
        )

    def choose_size(self, ori_shape: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) to which an image of ``ori_shape`` (height, width) is resized."""
        scale, (height, width) = json.loads(self.metadata['scale']), ori_shape
        edge = self.metadata['edge']
        if edge:
            # mmpretrain's ResizeEdge rounds down. mmcv's Resize (below) rounds to the nearest
            # integer.
            if (
                edge == 'width'
                or (edge == 'short' and width < height)
                or (edge == 'long' and width > height)
            ):
                return scale[0], int(scale[0] * height / width)
            return int(scale[0] * width / height), scale[0]
        if not json.loads(self.metadata['keep_ratio']):
            return scale[0], scale[1]
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        return int(width * factor + 0.5), int(height * factor + 0.5)

    def postprocess(
        self, outputs: dict[str, np.ndarray], img_shape: tuple[int, int], ori_shape: tuple[int, int]
    ) -> Detections:
        """Drop objects with low scores.

        Scale the rest from ``img_shape`` to ``ori_shape``, both (height, width).
        """
        kept = outputs['scores'] >= self.score_thr
        y_scale, x_scale = (
            before / after for before, after in zip(ori_shape, img_shape, strict=True)
        )
        boxes = outputs['boxes'][kept] * np.array([x_scale, y_scale, x_scale, y_scale], np.float32)
        labels, masks = outputs['labels'][kept], None
        if 'masks' in outputs:
            if json.loads(self.metadata['mask_stride']):
                masks = resize_masks(outputs['masks'][kept], self.metadata, img_shape, ori_shape)
            else:
                threshold = json.loads(self.metadata['mask_thr_binary'])
                masks_in_boxes = zip(outputs['masks'][kept], boxes, strict=True)
                pasted = [
                    paste_mask(mask, box, ori_shape) >= threshold for mask, box in masks_in_boxes
                ]
                masks = np.array(pasted, bool).reshape(-1, *ori_shape)
        return Detections(
            boxes, outputs['scores'][kept], labels, [self.classes[label] for label in labels], masks
        )


def read_image(image: str | Path | np.ndarray) -> np.ndarray:
    """Read an image file, or check an array.

    Return an array (height, width, 3) uint8, or raise a ValueError.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            expected = '(height, width, 3) and uint8'
            raise ValueError(
                f'an image has the shape {image.shape} and the dtype {image.dtype}. Expected '
                f'{expected}'
            )

        return image
    loaded = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if loaded is None:
        problem = (
            'is damaged, or not an image that OpenCV reads'
            if Path(image).is_file()
            else 'does not exist'
        )
        raise ValueError(f'{image} {problem}')
    return loaded


def resize_masks(
    logits: np.ndarray,
    metadata: dict[str, str],
    img_shape: tuple[int, int],
    ori_shape: tuple[int, int],
) -> np.ndarray:
    """Resize logits (n, h, w) to bool masks (n, *ori_shape).

    ``img_shape`` is the network's input without padding.
    """
    stride, probability = (
        json.loads(metadata[name]) for name in ('mask_stride', 'mask_thr_binary')
    )
    threshold, masks = (
        np.log(probability / (1 - probability)),
        np.zeros((len(logits), *ori_shape), bool),
    )
    for mask, values in zip(masks, logits, strict=True):
        padded = cv2.resize(values, None, fx=stride, fy=stride, interpolation=cv2.INTER_LINEAR)
        cropped = padded[: img_shape[0], : img_shape[1]]
        mask[:] = cv2.resize(cropped, ori_shape[::-1], interpolation=cv2.INTER_LINEAR) > threshold
    return masks


def paste_mask(mask: np.ndarray, box: np.ndarray, ori_shape: tuple[int, int]) -> np.ndarray:
    """Paste a mask (h, w) into its box in an image (height, width): bilinearly, with 0 outside the
    box.
    """
    x1, y1, x2, y2 = box
    for side, begin, end in ((ori_shape[0], y1, y2), (ori_shape[1], x1, x2)):
        centres = np.arange(side, dtype=np.float32) + 0.5
        positions = (centres - begin) / max(end - begin, 1e-6) * len(mask) - 0.5
        weights = np.maximum(
            0, 1 - np.abs(positions[:, None] - np.arange(len(mask), dtype=np.float32))
        )
        mask = (weights @ mask).T  # resize the columns after the rows
    return mask
