"""Run inference with an ONNX file of ``mmgcvit export``, without torch.

This file needs NumPy, onnxruntime, OpenCV and Pillow, but no other file of mmgcvit. Copy it into
your own project, also on a machine without torch::

    from onnx_predictor import OnnxPredictor

    detections = OnnxPredictor('detector.onnx')('photo.jpg')
    print(detections.boxes, detections.scores, detections.labels)
"""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, ImageSequence

# OpenCV's interpolation flags by mmcv's names, which test pipelines use. Pillow's names are mmcv's
# in upper case.
CV2_INTERPOLATION = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
}
# What training reads: formats by Pillow's names, and the longer side / the shorter side.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'JPEG2000', 'AVIF')
MAX_ASPECT = 320
MIN_TILE = 32  # in pixels
MAX_MASK_BYTES = 1 << 30  # the masks of an image are an array if they do not need more
Shape = tuple[int, int]  # (height, width)
Arrays = dict[str, NDArray[Any]]  # of floats and ints, by output


@dataclass(frozen=True)
class Detections:
    """The objects in an image, the highest-scoring first."""

    boxes: NDArray[np.float32]  # (n, 4) float32: [x1, y1, x2, y2] in pixels of the image
    scores: NDArray[np.float32]  # (n,) float32, from 0 to 1
    labels: NDArray[np.int64]  # (n,) int64, class indices
    class_names: list[str]
    # (n, height, width) bool; None if the model predicts boxes only. From tiles, and if an array
    # would need over a gigabyte, supervision's CompactMask, which decodes masks[i] on access
    masks: Any = None

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Segmentation:
    """The class of each pixel of an image."""

    label_map: NDArray[np.int32]  # (height, width) int32, class indices
    labels: NDArray[np.int64]  # (n,) int64, the classes that occur, by descending area
    class_names: list[str]
    areas: NDArray[np.int64]  # (n,) int64, the number of pixels of each of these classes


@dataclass(frozen=True)
class Classification:
    """The class of an image: its index, name and score, and the scores of all classes, (classes,)
    float32.
    """

    label: int
    class_name: str
    score: float
    scores: NDArray[np.float32]


Prediction = Detections | Segmentation | Classification
# Return the outputs of the file for an image, and the (height, width) to which it was resized.
Run = Callable[[NDArray[np.uint8]], tuple[Arrays, Shape]]


class OnnxPredictor:
    """Runs inference with an ONNX file of ``mmgcvit export``; call it with an image.

    Args:
        path: The ONNX file.
        score_thr: Objects with lower scores are removed: a number for all classes, or a mapping
            with numbers for some classes by name. Default, also of the classes that a mapping does
            not name: the thresholds that ``mmgcvit predict`` uses.
        providers: Names of onnxruntime's execution providers.
        tiles: Side in pixels of the overlapping tiles in which a detector or a segmentor predicts
            larger images; detectors need the package supervision for it. Default: as in the
            training; 0: no tiles.
    """

    def __init__(
        self,
        path: str | Path,
        score_thr: float | Mapping[str, float] | None = None,
        providers: tuple[str, ...] = ('CPUExecutionProvider',),
        tiles: int | None = None,
    ):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; it warns of each unused constant
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.metadata = self.session.get_modelmeta().custom_metadata_map
        self.task = self.metadata.get('task')
        reader_type = choose_reader(self.metadata)
        if reader_type is None:
            raise ValueError(
                f"{path} has the unknown task {self.task}. Choose a file that 'mmgcvit export' "
                'wrote'
            )
        if tiles and not reader_type.can_tile:
            raise ValueError(
                f'tiles={tiles}: a classifier predicts whole images, and {path} is one. Remove '
                'tiles'
            )
        self.classes = json.loads(self.metadata['classes'])
        self.score_thr, self.class_score_thr = self.resolve_score_thr(score_thr)
        thresholds = [self.class_score_thr.get(name, self.score_thr) for name in self.classes]
        self.reader = reader_type(self.metadata, self.classes, np.array(thresholds, np.float32))
        if tiles is None:
            tiles = json.loads(self.metadata.get('tiles', '0'))
        is_integer = isinstance(tiles, int | np.integer) and not isinstance(tiles, bool)
        if not is_integer or (tiles != 0 and tiles < MIN_TILE):
            raise ValueError(
                f'tiles={tiles!r}: expected an integer, at least {MIN_TILE} px, or 0 for none'
            )
        self.tiles = int(tiles)

    def resolve_score_thr(
        self, score_thr: float | Mapping[str, float] | None
    ) -> tuple[float, dict[str, float]]:
        """Return the threshold of all classes, and the others by class.

        Raise a ValueError for a class that the model does not have, and for a threshold that is not
        a number from 0 to 1.
        """
        overall = float(self.metadata.get('score_thr', 0))
        by_class = json.loads(self.metadata.get('class_score_thr', '{}'))
        if isinstance(score_thr, Mapping):
            by_class |= score_thr
        elif score_thr is not None:
            overall, by_class = score_thr, {}
        for name in by_class:
            if name not in self.classes:
                raise ValueError(f'score_thr: no class {name}. The classes are {self.classes}')
        for threshold in (overall, *by_class.values()):
            is_number = isinstance(threshold, float | int) and not isinstance(threshold, bool)
            if not is_number or not 0 <= threshold <= 1:
                raise ValueError(f'score_thr={threshold}: expected a number from 0 to 1')
        return overall, by_class

    # Only the file says which of the predictions it is, so its type is Any.
    def __call__(self, image: str | Path | NDArray[np.uint8]) -> Any:
        """Run inference on an image: a file, or an array (height, width, 3) uint8 in **BGR** order,
        like OpenCV's. Return :class:`Detections`, :class:`Segmentation` or
        :class:`Classification`, as the file's model does.
        """
        image = read_image(image)
        if 0 < self.tiles < max(image.shape[:2]):
            return self.reader.predict_in_tiles(self.run, image, self.tiles)
        return self.predict(image)

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """Run inference on a whole image."""
        outputs, img_shape = self.run(image)
        return self.reader.read(outputs, img_shape, image.shape[:2])

    def run(self, image: NDArray[np.uint8]) -> tuple[Arrays, Shape]:
        """Return the outputs of the file for an image, and the size to which it was resized."""
        inputs = self.preprocess(image)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, {'images': inputs}), strict=True))
        return outputs, inputs.shape[2:]

    def preprocess(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn a BGR image (height, width, 3) uint8 into the input (1, 3, h, w) float32."""
        # Pillow and OpenCV take the size as (width, height).
        size = self.choose_size(image.shape[:2])
        interpolation = self.metadata['interpolation']
        if self.metadata['backend'] == 'pillow':
            method = Image.Resampling[interpolation.upper()]
            resized = np.array(Image.fromarray(image).resize(size, method))
        else:
            resized = cv2.resize(image, size, interpolation=CV2_INTERPOLATION[interpolation])
        # The size of the centre crop.
        width, height = json.loads(self.metadata['crop']) or size
        left = max(0, round((size[0] - width) / 2))
        top = max(0, round((size[1] - height) / 2))
        cropped = resized[top : top + height, left : left + width]
        if self.metadata['channel_order'] == 'rgb':
            cropped = cropped[..., ::-1]
        mean = np.array(json.loads(self.metadata['mean']), np.float32)
        std = np.array(json.loads(self.metadata['std']), np.float32)
        normalised = (cropped - mean) / std
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])

    def choose_size(self, ori_shape: Shape) -> tuple[int, int]:
        """Return the (width, height) to which an image of ``ori_shape`` (height, width) resizes."""
        height, width = ori_shape
        scale = json.loads(self.metadata['scale'])
        edge = self.metadata['edge']
        lengths = {
            'width': width,
            'height': height,
            'short': min(ori_shape),
            'long': max(ori_shape),
        }
        # mmpretrain's ResizeEdge rounds down. mmcv's Resize (below) rounds to the nearest integer.
        if edge:
            return scale[0] * width // lengths[edge], scale[0] * height // lengths[edge]
        if not json.loads(self.metadata['keep_ratio']):
            return tuple(scale)
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        return int(width * factor + 0.5), int(height * factor + 0.5)


@dataclass(frozen=True)
class OutputReader(ABC):
    """Turns the outputs of a file into a prediction. Each task has a subclass."""

    metadata: Mapping[str, str]  # of the file
    classes: list[str]
    thresholds: NDArray[np.float32]  # of detectors, of each class (classes,)

    can_tile: ClassVar[bool] = False  # whether large images are predicted in tiles

    @abstractmethod
    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Prediction:
        """Return the prediction of an image of ``ori_shape``, which was resized to ``img_shape``,
        both (height, width).
        """

    def predict_in_tiles(self, run: Run, image: NDArray[np.uint8], side: int) -> Prediction:
        """Predict an image (height, width, 3) in tiles, each with ``run``.

        It is called only if ``can_tile``.
        """
        raise NotImplementedError


class ScoreReader(OutputReader):
    """Reads the scores of a classifier."""

    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Classification:
        (scores,) = outputs['scores']
        label = int(scores.argmax())
        return Classification(label, self.classes[label], float(scores[label]), scores)


class MapReader(OutputReader):
    """Reads the logits of a segmentor."""

    can_tile = True

    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Segmentation:
        """Resize the logits to the image. The class of a pixel has the highest one."""
        return self.make_segmentation(resize_channels(outputs['logits'], ori_shape).argmax(0))

    def predict_in_tiles(self, run: Run, image: NDArray[np.uint8], side: int) -> Segmentation:
        """Segment a large image by the logits of its tiles, whose weights fall smoothly towards
        their edges.

        Memory is needed for the logits of one row of tiles.
        """
        height, width = image.shape[:2]
        columns = weigh_tiles(width, side)
        rows = weigh_tiles(height, side)
        ends = [*(top for top, _ in rows[1:]), height]
        label_map = np.empty((height, width), np.int32)
        # The sums of the weighted logits in the image's rows from that of the tiles on
        band = np.zeros((len(self.classes), min(height, side), width), np.float32)
        for (top, row_weights), end in zip(rows, ends, strict=True):
            for left, column_weights in columns:
                tile = image[top : top + side, left : left + side]
                outputs, _ = run(tile)
                logits = resize_channels(outputs['logits'], tile.shape[:2])
                weights = row_weights[:, None] * column_weights
                band[..., left : left + side] += logits * weights
            # No later tile reaches these rows.
            num_done = end - top
            label_map[top:end] = band[:, :num_done].argmax(0)
            for channel in band:  # one by one, as each is copied
                channel[:-num_done] = channel[num_done:].copy()
                channel[-num_done:] = 0
        return self.make_segmentation(label_map)

    def make_segmentation(self, label_map: NDArray[np.integer[Any]]) -> Segmentation:
        """Find the classes and areas of a segmentation map."""
        labels, areas = np.unique(label_map, return_counts=True)
        order = np.argsort(-areas, kind='stable')
        names = [self.classes[label] for label in labels[order]]
        return Segmentation(label_map.astype(np.int32), labels[order], names, areas[order])


class ObjectReader(OutputReader):
    """Reads the objects of a detector, whose masks are probabilities in their boxes. Each other
    ``mask_type`` has a subclass.
    """

    can_tile = True

    def is_kept(self, scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which objects score at least the threshold of their class, (n,)."""
        return scores >= self.thresholds[labels]

    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Detections:
        """Drop objects with low scores, and scale the rest to the image."""
        outputs = self.convert(outputs, img_shape, ori_shape)
        kept = self.is_kept(outputs['scores'], outputs['labels'])
        outputs = {name: values[kept] for name, values in outputs.items()}
        limit = json.loads(self.metadata.get('limit', 'Infinity'))
        if len(outputs['scores']) >= limit:
            warnings.warn(
                f'an image has as many detections as the model returns at most, {limit}. Add '
                'tiles=SIDE, or raise max_per_img in the test_cfg of its config and export it '
                'again',
                stacklevel=3,
            )
        boxes = self.scale_boxes(outputs['boxes'], img_shape, ori_shape)
        masks = outputs.get('masks')
        if masks is not None:
            masks = self.scale_masks(masks, boxes, img_shape, ori_shape)
        class_names = [self.classes[label] for label in outputs['labels']]
        return Detections(boxes, outputs['scores'], outputs['labels'], class_names, masks)

    def convert(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Arrays:
        """Return the boxes, scores, labels and masks of objects from the outputs of a file."""
        return outputs

    def scale_boxes(
        self, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> NDArray[np.float32]:
        """Scale boxes (n, 4) of the input to the image."""
        y_scale, x_scale = np.divide(ori_shape, img_shape)
        return boxes * np.array([x_scale, y_scale, x_scale, y_scale], np.float32)

    def scale_masks(
        self, masks: Any, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> Any:
        """Return the masks (n, *ori_shape) bool of objects with boxes (n, 4) in the image, or a
        CompactMask (:func:`collect_masks`).
        """
        threshold = float(self.metadata['mask_thr_binary'])
        pasted = paste_masks(masks, boxes, threshold, ori_shape)
        return collect_masks(pasted, len(boxes), ori_shape)

    def predict_in_tiles(self, run: Run, image: NDArray[np.uint8], side: int) -> Detections:
        """Detect the objects of a large image, and merge the detections of the tiles.

        Objects that an edge of a tile cuts are not dropped before, as ``mmgcvit predict --tiles``
        does, so counts may differ a little.
        """
        import supervision as sv

        def detect(tile: NDArray[np.uint8]) -> sv.Detections:
            found = self.read(*run(tile), tile.shape[:2])
            return sv.Detections(found.boxes, found.masks, found.scores, found.labels)

        slicer = sv.InferenceSlicer(
            detect,
            slice_wh=side,
            overlap_wh=side // 4,
            overlap_metric=sv.OverlapMetric.IOS,
            compact_masks=True,
        )
        found = slicer(image)
        found = found.select(np.argsort(-found.confidence, kind='stable'))
        names = [self.classes[label] for label in found.class_id]
        return Detections(found.xyxy, found.confidence, found.class_id, names, found.mask)


class ResizedMaskReader(ObjectReader):
    """Reads the objects of RTMDet-Ins, whose masks are logits of the whole input."""

    def scale_masks(
        self, masks: Any, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> Any:
        resized = resize_masks(
            logits=masks,
            stride=int(self.metadata['mask_stride']),
            mask_type=self.metadata['mask_type'],
            threshold=float(self.metadata['mask_thr_binary']),
            img_shape=img_shape,
            ori_shape=ori_shape,
        )
        return collect_masks(resized, len(boxes), ori_shape)


class QueryMaskReader(ObjectReader):
    """Reads the objects of Mask2Former, whose masks are logits of the whole input. Boxes and scores
    follow from the masks.
    """

    def convert(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Arrays:
        """Compute boxes, scores and masks at the size of the image, and sort the objects by score.

        An object's score is that of its class times the mean probability in its mask.
        """
        # The score of a mask is at most 1.
        kept = self.is_kept(outputs['class_scores'], outputs['labels'])
        outputs = {name: values[kept] for name, values in outputs.items()}
        number = len(outputs['masks'])
        boxes = np.zeros((number, 4), np.float32)
        scores = np.zeros(number, np.float32)
        masks = MaskCollector(number, ori_shape)
        for index, logits in enumerate(outputs['masks']):
            resized = resize_logits(
                logits=logits,
                stride=int(self.metadata['mask_stride']),
                mask_type='crop',
                img_shape=img_shape,
                ori_shape=ori_shape,
            )
            mask = resized > 0
            # The exponentials of large negative logits would overflow, and are not needed.
            inside = resized[mask]
            mask_score = (1 / (1 + np.exp(-inside))).sum() / (len(inside) + 1e-6)
            boxes[index] = find_box(mask)
            scores[index] = outputs['class_scores'][index] * mask_score
            masks.add(mask)
        order = np.argsort(-scores, kind='stable')
        return {
            'boxes': boxes[order],
            'scores': scores[order],
            'labels': outputs['labels'][order],
            'masks': masks.join()[order],
        }

    def scale_boxes(
        self, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> NDArray[np.float32]:
        return boxes  # of masks at the size of the image

    def scale_masks(
        self, masks: Any, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> Any:
        return masks


READERS: Mapping[str | None, type[OutputReader]] = {
    'detection': ObjectReader,
    'segmentation': MapReader,
    'classification': ScoreReader,
}
# The readers of detectors by their mask_type
OBJECT_READERS: Mapping[str, type[ObjectReader]] = {
    'box': ObjectReader,
    'resize': ResizedMaskReader,
    'crop': QueryMaskReader,
}


def choose_reader(metadata: Mapping[str, str]) -> type[OutputReader] | None:
    """Return the reader of a file's outputs, or None for a task that is not known."""
    reader_type = READERS.get(metadata.get('task'))
    if reader_type is ObjectReader:
        return OBJECT_READERS[metadata.get('mask_type', 'box')]
    return reader_type


def resize_channels(logits: NDArray[np.float32], size: Shape) -> NDArray[np.float32]:
    """Resize the logits (1, classes, h, w) of an image to (classes, height, width)."""
    return np.stack([cv2.resize(channel, size[::-1]) for channel in logits[0]])


def weigh_tiles(length: int, side: int) -> list[tuple[int, NDArray[np.float32]]]:
    """Return where each tile begins along an axis, and the weights of its pixels there.

    Tiles overlap by a quarter or more. At each pixel, the weights of all tiles add up to 1. Before
    they are divided by their sum, they are a squared sine of the position in a tile.
    """
    last = max(length - side, 0)
    count = 1 + ceil(last / (side * 0.75))
    starts = np.linspace(0, last, count).astype(int).tolist()
    positions = (np.arange(min(length, side)) + 0.5) / side
    window = np.sin(np.pi * positions) ** 2
    total = np.zeros(length)
    for start in starts:
        total[start : start + side] += window
    return [(start, (window / total[start : start + side]).astype(np.float32)) for start in starts]


def read_image(image: str | Path | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read an image file, or check an array.

    Return an array (height, width, 3) uint8 in BGR order. Raise a ValueError for other arrays, and
    for files that training would not read as they are.
    """
    if isinstance(image, np.ndarray):
        if image.shape[2:] != (3,) or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(
                f'an image has the shape {image.shape} and the dtype {image.dtype}. Expected '
                '(height, width, 3) and uint8'
            )
        return image
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with decoder_errors():
            opened = Image.open(image, formats=formats)
            content = np.fromfile(image, np.uint8)
        with opened:
            return decode_image(opened, content)
    except ImageError as error:
        raise ValueError(f'{image} cannot be read: {error}') from None


class ImageError(ValueError):
    """An image file cannot be decoded, or training would not read it as it is."""


@contextmanager
def decoder_errors() -> Iterator[None]:
    """Raise an ImageError where Pillow, OpenCV or the file system fails.

    On damaged files, decoders raise errors of any class. So the block has only calls of them.
    """
    try:
        yield
    except Exception as error:
        raise ImageError(str(error)) from error


def decode_pixels(content: NDArray[np.uint8], flags: int) -> NDArray[Any]:
    """Decode the content of a file with OpenCV's flags. Raise an ImageError if that fails."""
    with decoder_errors():
        pixels = cv2.imdecode(content, flags)
    if pixels is None:
        raise ImageError('OpenCV cannot decode it')
    return pixels


def decode_image(image: Image.Image, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode an open image, whose file has a ``content``.

    Raise an ImageError if training would not read it.
    """
    if max(image.size) > MAX_ASPECT * min(image.size):
        raise ImageError(f'one side is over {MAX_ASPECT} times the other')
    if image.mode == 'LAB':
        raise ImageError('it has the colour space LAB')
    with decoder_errors():
        image.load()  # raises an error if the file is truncated; OpenCV would fill it with grey
    loaded = decode_pixels(content, cv2.IMREAD_COLOR)
    check_decoders_agree(image, loaded)
    if image.format != 'TIFF':  # Pillow and OpenCV rotate TIFF files
        stored = decode_pixels(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if not np.array_equal(loaded, rotate(stored, image)):
            raise ImageError('OpenCV would ignore its EXIF rotation')
    pixels = np.atleast_3d(decode_pixels(content, cv2.IMREAD_UNCHANGED))[..., :3]
    if pixels.dtype != np.uint8 and (pixels.dtype != np.uint16 or 0 < pixels.max() < 4096):
        raise ImageError('it has 12 bits in 16, 32 bits or floats. Scale it to 8 bits')
    if image.format != 'MPO':  # cameras may write a preview behind the photo
        with decoder_errors():
            frames = ImageSequence.Iterator(image)
            pages = [getattr(page, 'tag_v2', {}).get(254, 0) for page in frames]
        # The tag NewSubfileType: bit 0 is for smaller copies, bit 2 for masks.
        if sum(not kind & 5 for kind in pages) > 1:
            raise ImageError('it has several pages or frames. Save each as an image')
    return loaded


def check_decoders_agree(image: Image.Image, loaded: NDArray[Any]) -> None:
    """Raise an ImageError if OpenCV has loaded other pixels of a TIFF, PPM or BMP file than Pillow.

    Examples are TIFF files with a fourth band that is marked as transparency, and PGM files of 10
    bits. Colours that are multiplied by alpha are not compared.
    """
    extra = getattr(image, 'tag_v2', {}).get(338, ())  # the tag ExtraSamples; 1 is such an alpha
    is_multiplied = 1 in (extra if isinstance(extra, tuple) else (extra,))
    is_lossy = image.info.get('compression') in ('jpeg', 'tiff_jpeg')
    if image.format not in ('TIFF', 'PPM', 'BMP') or is_multiplied or is_lossy:
        return
    if image.mode[0] == 'I':  # of 16 bits
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        pixels = np.repeat(grey[..., None], 3, axis=2)
    else:
        with decoder_errors():
            pixels = np.asarray(image.convert('RGB'))[..., ::-1]
    if pixels.shape != loaded.shape or cv2.absdiff(np.ascontiguousarray(pixels), loaded).max() > 2:
        raise ImageError('Pillow and OpenCV decode it to other pixels. Save it as 8-bit PNG')


def rotate(pixels: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """Rotate stored pixels (height, width, 3) by the EXIF orientation of an open image."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation) or 1)
    except Exception:  # Pillow raises errors of any class on damaged metadata
        orientation = 1
    stored = Image.fromarray(pixels)
    stored.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(stored))


class MaskCollector:
    """Collects masks of a shape (height, width) one by one.

    If an array of so many would need over :data:`MAX_MASK_BYTES`, and the package supervision is
    installed, only the part of each mask that is True is kept.
    """

    def __init__(self, number: int, shape: Shape):
        self.shape = shape
        is_large = number * shape[0] * shape[1] > MAX_MASK_BYTES
        self.is_compact = is_large and find_spec('supervision') is not None
        self.parts: list[Any] = []  # of a CompactMask
        self.array = np.zeros((0 if self.is_compact else number, *shape), bool)
        self.num_added = 0

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Add a mask (height, width)."""
        if self.is_compact:
            import supervision as sv

            left, top, right, bottom = find_box(mask)
            box = np.array([[left, top, max(right, 1) - 1, max(bottom, 1) - 1]])
            self.parts.append(sv.CompactMask.from_dense(mask[None], box, self.shape))
        else:
            self.array[self.num_added] = mask
        self.num_added += 1

    def join(self) -> Any:
        """Return the masks as an array (number, height, width) bool, or as a CompactMask."""
        if self.is_compact:
            import supervision as sv

            return sv.CompactMask.merge(self.parts)
        return self.array


def collect_masks(masks: Iterator[NDArray[np.bool_]], number: int, shape: Shape) -> Any:
    """Return so many masks of a shape (height, width) as :class:`MaskCollector` joins them."""
    collector = MaskCollector(number, shape)
    for mask in masks:
        collector.add(mask)
    return collector.join()


def paste_masks(
    probabilities: NDArray[np.float32],
    boxes: NDArray[np.float32],
    threshold: float,
    ori_shape: Shape,
) -> Iterator[NDArray[np.bool_]]:
    """Paste probabilities (n, h, w) into their boxes (n, 4), bilinearly. Yield n masks (*ori_shape)
    bool.
    """
    for mask, (x1, y1, x2, y2) in zip(probabilities, boxes, strict=True):
        parts = []
        for side, begin, end in ((ori_shape[0], y1, y2), (ori_shape[1], x1, x2)):
            # Only pixels in the box, and half a cell around it, have a probability over 0.
            margin = (end - begin) / len(mask) / 2 + 1
            first = int(np.clip(np.floor(begin - margin), 0, side))
            last = int(np.clip(np.ceil(end + margin), first, side))
            centres = np.arange(first, last, dtype=np.float32) + 0.5
            positions = (centres - begin) / max(end - begin, 1e-6) * len(mask) - 0.5
            distances = np.abs(positions[:, None] - np.arange(len(mask), dtype=np.float32))
            mask = (np.maximum(0, 1 - distances) @ mask).T  # resize the columns after the rows
            parts.append(slice(first, last))
        whole = np.zeros(ori_shape, bool)
        whole[tuple(parts)] = mask >= threshold
        yield whole


def resize_masks(
    logits: NDArray[np.float32],
    stride: int,
    mask_type: str,
    threshold: float,
    img_shape: Shape,
    ori_shape: Shape,
) -> Iterator[NDArray[np.bool_]]:
    """Resize logits (n, h, w), and yield n masks (*ori_shape) bool: pixels with a probability above
    ``threshold``. The other arguments are those of :func:`resize_logits`.
    """
    min_logit = np.log(threshold / (1 - threshold))
    for mask_logits in logits:
        resized = resize_logits(
            logits=mask_logits,
            stride=stride,
            mask_type=mask_type,
            img_shape=img_shape,
            ori_shape=ori_shape,
        )
        yield resized > min_logit


def resize_logits(
    logits: NDArray[np.float32], stride: int, mask_type: str, img_shape: Shape, ori_shape: Shape
) -> NDArray[np.float32]:
    """Resize the logits (h, w) of a padded input, one for ``stride`` x ``stride`` pixels, to the
    image, *ori_shape*, as mmdet does.

    ``img_shape`` (height, width) is the input's without padding. With the ``mask_type`` 'crop'
    (Mask2Former) the padding is cropped before the second resizing, with 'resize' (RTMDet-Ins)
    after it.
    """
    padded = cv2.resize(logits, None, fx=stride, fy=stride)
    if mask_type == 'crop':
        cropped = np.ascontiguousarray(padded[: img_shape[0], : img_shape[1]])
        return cv2.resize(cropped, ori_shape[::-1])
    # mmdet multiplies by the reciprocal of the factor of the first resizing.
    height = ceil(padded.shape[0] * (1 / (img_shape[0] / ori_shape[0])))
    width = ceil(padded.shape[1] * (1 / (img_shape[1] / ori_shape[1])))
    return cv2.resize(padded, (width, height))[: ori_shape[0], : ori_shape[1]]


def find_box(mask: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Return the box [x1, y1, x2, y2] around a mask (height, width), zeros if it is empty."""
    columns = np.flatnonzero(mask.any(0))
    rows = np.flatnonzero(mask.any(1))
    if not len(columns):
        return 0, 0, 0, 0
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
