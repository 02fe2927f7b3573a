"""One pass over a data set: the confusion matrix and the worst images, in a folder; nothing there is lost unasked."""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from ...engine.progress import Display
from ...errors import UserError
from ...files import write_image, written_whole
from ...inference import Classification, Prediction, Predictor
from ...inference.outputs import check_out_dir, write_json
from ..drawing import save
from .confusion import Confusion, draw_confusion, objects
from .judging import SCORES, Truths, Verdict, judge

COUNTED = {'segmentation': 'pixels', 'classification': 'images'}
MATRIX, MATRIX_PICTURE, TABLE, PICTURES = 'confusion.json', 'confusion.png', 'worst.json', 'worst'
PAIRS_WRITTEN = 100
# Sides of a drawn image in pixels: as small ones as digits are enlarged, large photos are made smaller.
SMALLEST, LARGEST = 320, 800
FONT, LINE, GAP = 15, 24, 8


class Judged(NamedTuple):
    """An image by its number in the data set, and what is said of it."""

    number: int
    verdict: Verdict
    prediction: Prediction


@dataclass
class Found:
    """What one pass has found.

    Attributes:
        confusion: The matrix.
        worst: The worst images, those first.
        images: So many images were judged.
        failed: What could not be, a sentence each.
    """

    confusion: Confusion
    worst: list[Judged] = field(default_factory=list)
    images: int = 0
    failed: list[str] = field(default_factory=list)


def find_mistakes(model: Predictor, truths: Truths, most_worst: int, batch_size: int, display: Display) -> Found:
    """Predict for all images of a data set, so many at a time, and compare with what is true.

    Of a detector, objects count as found from the score of the model's threshold on. Of the worst images so many are
    kept; those that cannot be used are named on the display.
    """
    classes = model.classes
    found = Found(Confusion(classes, COUNTED[model.task]) if model.task in COUNTED else objects(classes))

    def badness(judged: Judged) -> tuple[float, int, int]:
        # Of equally bad ones the first of the data set.
        return -judged.verdict.score, judged.verdict.mistakes, -judged.number

    # One at least, so that all are judged.
    judged = judged_images(model, truths, batch_size, found, display)
    found.worst = heapq.nlargest(max(most_worst, 1), judged, key=badness)[:most_worst]
    return found


def judged_images(
    model: Predictor, truths: Truths, batch_size: int, found: Found, display: Display
) -> Iterator[Judged]:
    """Judge all images; those that cannot be used are named in ``found.failed`` and on the display."""

    def fail(path: str, error: UserError) -> None:
        # What concerns a file begins with its name already.
        sentence = str(error) if str(error).startswith(path) else f'{path}: {error}'
        found.failed.append(sentence)
        display.line(f'skipped: {sentence}')

    display.begin('images', len(truths))
    for begin in range(0, len(truths), batch_size):
        batch = []
        for number in range(begin, min(begin + batch_size, len(truths))):
            info = truths.info(number)
            try:
                image = truths.image(info)
                batch.append((number, info['img_path'], image, truths.truth(info, image)))
            except UserError as error:
                fail(info['img_path'], error)
        outcomes = model.outcomes([image for _, _, image, _ in batch])
        for (number, path, _, truth), outcome in zip(batch, outcomes, strict=True):
            try:
                if isinstance(outcome, UserError):
                    raise outcome
                yield Judged(number, judge(truth, outcome, found.confusion), outcome)
                found.images += 1
            except UserError as error:
                fail(path, error)
        display.advance(min(begin + batch_size, len(truths)))
    display.end()


class Folder:
    """A folder for the mistakes of one model, refused where something is in the way, before anything is computed."""

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        check_out_dir(path, (MATRIX, MATRIX_PICTURE, TABLE, PICTURES), overwrite)
        self.path = path
        # The pictures that an earlier call's table names: beside new ones they would be taken for these.
        self.earlier_pictures = []
        table = path / TABLE
        if table.is_file():
            try:
                names = [Path(entry['drawn']).name for entry in json.loads(table.read_text())['images']]
            except (ValueError, KeyError, TypeError):
                raise UserError(f'{table} is no table of this command; name another folder, or remove it') from None
            self.earlier_pictures = [path / PICTURES / name for name in names]

    def make(self) -> None:
        """Make the folder."""
        self.path.mkdir(parents=True, exist_ok=True)


def write_confusion(confusion: Confusion, folder: Folder) -> None:
    """Write the matrix as JSON, a row a line, and as a picture."""
    pairs = [
        {
            'truth': confusion.names[pair.truth],
            'predicted': confusion.names[pair.predicted],
            'count': pair.count,
            'share': round(pair.share, 6),
        }
        for pair in confusion.most_confused(PAIRS_WRITTEN)
    ]
    head = {'counted': confusion.counted, 'rows': 'truth', 'columns': 'predicted', 'classes': confusion.names}
    lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in head.items()]
    for key, rows in (('most_confused', pairs), ('matrix', confusion.counts.tolist())):
        inner = ',\n'.join(json.dumps(row, ensure_ascii=False) for row in rows)
        lines.append(f'"{key}": [\n{inner}\n]')
    with written_whole(folder.path / MATRIX, flush=False) as unfinished:
        unfinished.write_text('{\n' + ',\n'.join(lines) + '\n}\n', encoding='utf-8')
    save(draw_confusion(confusion), folder.path / MATRIX_PICTURE)


def write_worst(found: Found, truths: Truths, folder: Folder) -> None:
    """Write the worst images, the truth beside the prediction, and a table of them."""
    for path in folder.earlier_pictures:
        path.unlink(missing_ok=True)
    entries = []
    for rank, judged in enumerate(found.worst, start=1):
        path = truths.info(judged.number)['img_path']
        drawn = Path(PICTURES) / f'{rank:03d}_{Path(path).stem}.png'
        write_image(folder.path / drawn, picture_of(judged, truths))
        verdict = judged.verdict
        entries.append(
            {
                'rank': rank,
                'file_name': path,
                'score': round(verdict.score, 6),
                'mistakes': verdict.mistakes,
                'why': verdict.why,
                'drawn': str(drawn),
            }
        )
    write_json(folder.path / TABLE, {'score': SCORES[truths.model.task], 'images': entries})


def picture_of(judged: Judged, truths: Truths) -> np.ndarray:
    """An image twice, with the truth and with the prediction, and words: (height, width, 3), blue, green, red."""
    info = truths.info(judged.number)
    image = truths.image(info)
    truth = truths.truth(info, image)
    predicted = fitted(truths.model.draw(image, judged.prediction))
    if isinstance(truth, Classification):
        # The host would write "prediction" into it.
        heading, true = f'truth: {truth.class_name}', cv2.resize(image, predicted.shape[1::-1])
    else:
        heading, true = 'truth', fitted(truths.model.draw(image, truth))
    gap = np.full((true.shape[0], GAP, 3), 255, np.uint8)
    both = np.concatenate([true, gap, predicted], axis=1)
    height, width = both.shape[:2]
    font = ImageFont.truetype(font_manager.findfont('DejaVu Sans'), FONT)
    words = f'{judged.verdict.score:.3f}: {judged.verdict.why}', info['img_path']
    lines = [line for text in words for line in broken(text, font, width - GAP)]
    canvas = Image.new('RGB', (width, height + LINE * (len(lines) + 1)), 'white')
    canvas.paste(Image.fromarray(np.ascontiguousarray(both[..., ::-1])), (0, LINE))
    draw = ImageDraw.Draw(canvas)
    draw.text((GAP // 2, 3), heading, 'black', font)
    draw.text((true.shape[1] + GAP, 3), 'prediction', 'black', font)
    for number, line in enumerate(lines):
        draw.text((GAP // 2, height + LINE * (number + 1) + 3), line, 'black', font)
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def fitted(image: np.ndarray) -> np.ndarray:
    """An image whose longer side is legible, and no larger than a screen."""
    longest = max(image.shape[:2])
    scale = min(max(longest, SMALLEST), LARGEST) / longest
    if scale == 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A text in lines that are not wider than so many pixels, broken anywhere where a word is."""
    lines = ['']
    for letter in text:
        if font.getlength(lines[-1] + letter) > width:
            head, space, tail = lines[-1].rpartition(' ')
            lines[-1:] = [head, tail] if space and head else [lines[-1], '']
        lines[-1] += letter
    return lines
