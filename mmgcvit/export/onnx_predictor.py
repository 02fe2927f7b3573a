"""Run inference with an ONNX file of ``mmgcvit export``, without torch.

For example::

    from mmgcvit.export.onnx_predictor import OnnxPredictor

    detections = OnnxPredictor('detector.onnx')('photo.jpg')
    print(detections.boxes, detections.scores, detections.labels)

Neither this module nor those that it imports need torch or OpenMMLab's packages. one_file.py writes
what it uses of them as one file.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from ..datasets.decoding import decode_image
from ..datasets.opening import ImageError, decoder_errors
from ..errors import UserError, get_first_line
from ..predict.thresholds import ScoreThr, ScoreThresholds, parse_metadata
from ..predict.tile_sizes import MIN_TILE
from .masks import Arrays, Shape
from .output_readers import Prediction, choose_reader, get_shape

# OpenCV's interpolation flags by mmcv's names, which test pipelines use. Pillow's names are mmcv's
# in upper case.
CV2_INTERPOLATION = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
}


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
        score_thr: ScoreThr | None = None,
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
            raise UserError(
                f'{path} has the unknown task {self.task}. Choose a file that mmgcvit has exported'
            )
        if tiles and not reader_type.can_tile:
            raise UserError(
                f'tiles={tiles}: a classifier predicts whole images, and {path} is one. Remove '
                'tiles'
            )
        self.classes = json.loads(self.metadata['classes'])
        thresholds = parse_metadata(self.metadata) or ScoreThresholds(0.0)
        if score_thr is not None:
            thresholds = thresholds.override(score_thr)
        thresholds.check(self.classes)
        self.score_thr = thresholds.overall
        self.class_score_thr = thresholds.by_class
        by_class = np.array(thresholds.list_by_class(self.classes), np.float32)
        self.reader = reader_type(self.metadata, self.classes, by_class)
        if tiles is None:
            tiles = json.loads(self.metadata.get('tiles', '0'))
        is_integer = isinstance(tiles, int | np.integer) and not isinstance(tiles, bool)
        if not is_integer or (tiles != 0 and tiles < MIN_TILE):
            raise UserError(
                f'tiles={tiles!r}: expected an integer, at least {MIN_TILE} px, or 0 for none'
            )
        self.tiles = int(tiles)

    # Only the file says which of the predictions it is, so its type is Any.
    def __call__(self, image: str | Path | NDArray[np.uint8]) -> Any:
        """Run inference on an image: a file, or an array (height, width, 3) uint8 in **BGR** order,
        like OpenCV's. Return :class:`Detections`, :class:`Segmentation` or
        :class:`Classification`, as the file's model does.
        """
        pixels = read_image(image)
        if 0 < self.tiles < max(get_shape(pixels)):
            return self.reader.predict_in_tiles(self.run, pixels, self.tiles)
        return self.predict(pixels)

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """Run inference on a whole image."""
        outputs, img_shape = self.run(image)
        return self.reader.read(outputs, img_shape, get_shape(image))

    def run(self, image: NDArray[np.uint8]) -> tuple[Arrays, Shape]:
        """Return the outputs of the file for an image, and the size to which it was resized."""
        inputs = self.preprocess(image)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, {'images': inputs}), strict=True))
        _, _, height, width = inputs.shape
        return outputs, (height, width)

    def preprocess(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn a BGR image (height, width, 3) uint8 into the input (1, 3, h, w) float32."""
        # Pillow and OpenCV take the size as (width, height).
        size = self.choose_size(get_shape(image))
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
            return scale[0], scale[1]
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        return int(width * factor + 0.5), int(height * factor + 0.5)


def read_image(image: str | Path | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read an image file, or check an array.

    Return an array (height, width, 3) uint8 in BGR order. Raise a UserError for other arrays, and
    for files that training would not read as they are.
    """
    if isinstance(image, np.ndarray):
        if image.shape[2:] != (3,) or image.dtype != np.uint8 or image.size == 0:
            raise UserError(
                f'an image has the shape {image.shape} and the dtype {image.dtype}. Expected '
                '(height, width, 3) and uint8'
            )
        return image
    path = Path(image)
    try:
        decode_image(path)
        with decoder_errors():
            pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ImageError('OpenCV cannot decode it')
    except (OSError, ImageError) as error:
        raise UserError(f'{image} cannot be read: {get_first_line(error)}') from error
    return pixels.astype(np.uint8, copy=False)
