"""One loaded model behind the page: what the page is told of it, the pictures that it takes, and its answers.

These are in the form of page/outputs.js, with pixels as PNG files. Pictures come as bytes from somebody else's hands:
they are checked by their headers before anything is decoded.
"""

import base64
import io
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

from ..errors import UserError, first_line
from ..inference import Classification, Prediction, Predictor, Segmentation
from ..inference.loading import in_words
from ..inference.results import Part
from ..version import __version__
from ..visualization.attention import Attention, attention

# Below what the page's slider goes to; the slider begins at the model's own threshold.
LEAST_SCORE = 0.05
# As the page refuses them (page/image_header.js, page/picture.js).
LONGEST_SIDE = 10_000
MOST_BYTES = 64 << 20
# Pillow takes 15 bytes a pixel of WebP, 4 of others.
MOST_PIXELS_OF_WEBP = 50_000_000
# Larger pictures are reduced: every object's mask has their size, and every class's scores in a segmentor.
MOST_PIXELS = 12_500_000
MOST_SCORES = 320_000_000
# Rows of a picture that are reduced at a time.
STRIP = 64
# Of Pillow's decoders those that browsers have too, and that are looked at most.
FORMATS = ('PNG', 'JPEG', 'WEBP', 'GIF', 'BMP')
# By the kind of an attention, as of visualization.attention.BlockAttention.
QUERIES = {'global': 'global queries', 'local': 'queries of its window', 'all': 'all queries'}


class ServedModel:
    """A model, as :func:`mmgcvit.load` makes it, for the page; its config's name is shown."""

    def __init__(self, model: Predictor, config: Path) -> None:
        self.model = model
        self.config = config
        self.most_pixels = MOST_PIXELS
        if model.task == 'segmentation':
            self.most_pixels = min(MOST_PIXELS, MOST_SCORES // len(model.classes))
        self.score_thr = getattr(model, 'score_thr', None)
        if self.score_thr is not None:
            model.score_thr = min(LEAST_SCORE, self.score_thr)

    @property
    def catalogue(self) -> dict[str, Any]:
        """What the page reads first; see page/main.js."""
        model = self.model
        network = type(getattr(model.network, 'backbone', model.network)).__name__
        entry = {
            'name': self.config.stem,
            'title': self.config.stem,
            'description': f'{model.task} with {network}, {len(model.classes)} classes',
            'task': model.task,
            'classes': model.classes,
            'palette': [list(colour) for colour in model.palette],
            'score_thr': self.score_thr,
        }
        return {
            'mode': 'server',
            'version': __version__,
            'device': in_words(model.device),
            'models': [entry],
            'samples': [],
        }

    def answer(self, content: bytes) -> dict[str, Any]:
        """What is found in a picture's file, in the form of page/outputs.js, with the attention that it pays.

        That is of the stage and blocks that ``mmgcvit visualize attention`` draws by default; None of backbones that
        are not this package's, and where a stage's attention is no map.
        """
        picture = picture_of(content, self.most_pixels)
        prediction = self.model(picture)
        try:
            shown = attention_of(attention(self.model, picture))
        except UserError:
            shown = None
        height, width = picture.shape[:2]
        return {'size': {'width': width, 'height': height}, **answer_of(prediction), 'attention': shown}


def answer_of(prediction: Prediction) -> dict[str, Any]:
    """What is found in a picture; coordinates in its pixels."""
    if isinstance(prediction, Classification):
        return {'scores': prediction.scores.tolist()}
    if isinstance(prediction, Segmentation):
        return {'labelMap': {'png': png_of(prediction.label_map)}}
    masks = [None] * len(prediction) if prediction.masks is None else map(mask_of, prediction.masks)
    rows = zip(prediction.labels, prediction.scores, prediction.boxes, masks, strict=True)
    return {
        'objects': [
            {'label': int(label), 'score': float(score), 'box': box.tolist(), 'mask': mask}
            for label, score, box, mask in rows
        ]
    }


def mask_of(mask: np.ndarray) -> dict[str, Any] | None:
    """A mask (height, width) as the part of it that holds the object; None where it holds nothing."""
    part, left, top = Part.of(mask)
    return {'left': left, 'top': top, 'png': png_of(part)} if part.size else None


def png_of(numbers: np.ndarray) -> str:
    """Numbers (height, width) below 65536 as a PNG file in base64: red, and 256 times green."""
    numbers = numbers.astype(np.uint16)
    # Blue, green, red, as OpenCV writes them. Grey of 16 bits browsers reduce to 8.
    pixels = np.stack([np.zeros_like(numbers), numbers >> 8, numbers & 0xFF], axis=2).astype(np.uint8)
    _, content = cv2.imencode('.png', pixels)
    return base64.b64encode(content.tobytes()).decode()


def attention_of(found: Attention) -> dict[str, Any]:
    """The attention that each token of a stage receives, in the last of the blocks that are looked at."""
    block = found.blocks[-1]
    rows, columns = block.received.shape
    return {
        'rows': rows,
        'columns': columns,
        'values': np.nan_to_num(block.received).flatten().tolist(),
        'box': list(found.box),
        'title': attention_title(found.network, found.stage, block.block, block.kind),
    }


def attention_title(network: str, stage: int, block: int, kind: str) -> str:
    """What the page says of the attention that it shows."""
    return (
        f'Attention of {network}, stage {stage}, block {block}: the weight that each place receives as a key, averaged '
        f'over the heads and the {QUERIES[kind]}.'
    )


def picture_of(content: bytes, most_pixels: int = MOST_PIXELS) -> np.ndarray:
    """Decode a file of one of :data:`FORMATS`: (height, width, 3) uint8, blue, green, red, turned upright.

    Transparent parts are white, as on the page. A picture of more pixels than told is reduced, to half of its sides, a
    third, ...
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            too_much_webp = image.format == 'WEBP' and width * height > MOST_PIXELS_OF_WEBP
            if max(width, height) <= LONGEST_SIDE and not too_much_webp:
                factor = math.ceil(math.sqrt(width * height / most_pixels))
                upright = ImageOps.exif_transpose(reduced(image, factor))
                return np.ascontiguousarray(np.asarray(upright)[..., ::-1])
    except Image.UnidentifiedImageError:
        raise UserError(f'The file is no image: take one of {", ".join(FORMATS)}.') from None
    except Image.DecompressionBombError:
        raise UserError(f'The picture is too large: take one of at most {LONGEST_SIDE} pixels a side.') from None
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'The picture cannot be decoded: {first_line(error)}.') from None
    raise UserError(
        f'The picture has {width} x {height} pixels; take one of at most {LONGEST_SIDE} pixels a side, of WebP at most '
        f'{MOST_PIXELS_OF_WEBP // 10**6} megapixels.'
    )


def reduced(image: Image.Image, factor: int) -> Image.Image:
    """An image of any mode in RGB, on white, its sides divided; in strips: whole, each step would take 400 MB more."""
    width, height = image.size
    made = Image.new('RGB', (math.ceil(width / factor), math.ceil(height / factor)))
    for top in range(0, made.height, STRIP):
        strip = image.crop((0, top * factor, width, min((top + STRIP) * factor, height)))
        made.paste(on_white(strip).reduce(factor), (0, top))
    # Which side is up.
    made.info = image.info
    return made


def on_white(image: Image.Image) -> Image.Image:
    """An image of any mode in RGB."""
    if image.mode.startswith('I;16'):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    return image.convert('RGB')
