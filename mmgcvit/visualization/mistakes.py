"""What a trained model gets wrong on a data set: which classes it takes for which, and the images it does worst on.

One pass, :func:`find_mistakes`, by the verdicts of ``judging.py``; its folder loses nothing unasked.
"""

import heapq
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..engine.progress import Display
from ..errors import UserError
from ..files import write_image, write_text
from ..inference import Prediction, Predictor
from ..inference.outputs import check_out_dir, write_json
from .drawing import save
from .judging import SCORES, Confusion, Truths, Verdict, empty_confusion, judge
from .sheets import side_by_side

MATRIX, MATRIX_PICTURE, TABLE, PICTURES = 'confusion.json', 'confusion.png', 'worst.json', 'worst'
PAIRS_WRITTEN = 100
# With more classes the matrix itself is a grey square: only the most confused pairs are drawn. With fewer there is
# room for numbers in it.
MOST_IN_A_MATRIX, MOST_WITH_NUMBERS = 160, 25
PAIRS = 25
INCHES_A_CLASS, SMALLEST_SIDE = 0.17, 5.0


class Judged(NamedTuple):
    """An image by its number in the data set, and what is said of it."""

    number: int
    verdict: Verdict
    prediction: Prediction


@dataclass
class Found:
    """What one pass has found."""

    confusion: Confusion
    worst: list[Judged] = field(default_factory=list)  # the worst first
    images: int = 0  # so many were judged
    failed: list[str] = field(default_factory=list)  # what could not be, a sentence each


def find_mistakes(model: Predictor, truths: Truths, most_worst: int, batch_size: int, display: Display) -> Found:
    """Predict for all images of a data set, so many at a time, and compare with what is true.

    Of a detector, objects count as found from the score of the model's threshold on. Of the worst images so many are
    kept; those that cannot be used are named on the display.
    """
    found = Found(empty_confusion(model.task, model.classes))

    def badness(judged: Judged) -> tuple[float, int, int]:
        # Of equally bad ones the first of the data set.
        return -judged.verdict.score, judged.verdict.mistakes, -judged.number

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
                judged = Judged(number, judge(truth, outcome, found.confusion), outcome)
            except UserError as error:
                fail(path, error)
            else:
                found.images += 1
                found.worst = heapq.nlargest(most_worst, [*found.worst, judged], key=badness)
        display.advance(min(begin + batch_size, len(truths)))
    display.end()
    return found


def check_folder(folder: Path, overwrite: bool = False) -> list[Path]:
    """Refuse a folder where something is in the way, before anything is computed.

    Gives the pictures that an earlier call's table names: beside new ones they would be taken for these.
    """
    check_out_dir(folder, (MATRIX, MATRIX_PICTURE, TABLE, PICTURES), overwrite)
    table = folder / TABLE
    if not table.is_file():
        return []
    try:
        return [folder / PICTURES / Path(entry['drawn']).name for entry in json.loads(table.read_text())['images']]
    except (ValueError, KeyError, TypeError):
        raise UserError(f'{table} is no table of this command; name another folder, or remove it') from None


def draw_confusion(confusion: Confusion) -> Figure:
    """The matrix, each row by its sum, and the most confused pairs as bars; legible with 10, 80 and 1000 classes."""
    number = len(confusion.names)
    has_matrix = number <= MOST_IN_A_MATRIX
    a_class = INCHES_A_CLASS * (2.2 if number <= MOST_WITH_NUMBERS else 1)
    side = max(SMALLEST_SIDE, a_class * number) if has_matrix else 0
    figure = Figure(figsize=(side * 1.2 + 6.5, max(side * 1.1, 6.0)), layout='constrained')
    widths = [side * 1.2, 6.5] if has_matrix else [1]
    axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    if has_matrix:
        draw_matrix(axes[0], confusion)
    draw_pairs(axes[-1], confusion)
    return figure


def draw_matrix(axes: Axes, confusion: Confusion) -> None:
    """Shades for shares of rows, and numbers in per cent where there is room."""
    names, shares = confusion.names, confusion.shares
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    size = 9 if len(names) <= MOST_WITH_NUMBERS else 6
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_xlabel('predicted')
    axes.set_ylabel('truth')
    axes.set_title(f'{confusion.counted}: shares of each row, %')
    if len(names) > MOST_WITH_NUMBERS:
        return
    for row, column in np.argwhere(confusion.counts):
        share = shares[row, column]
        words = f'{100 * share:.0f}' if share >= 0.005 else '<1'
        axes.text(column, row, words, ha='center', va='center', fontsize=8, color='white' if share > 0.5 else 'black')


def draw_pairs(axes: Axes, confusion: Confusion) -> None:
    """Bars, the most confused pair on top."""
    pairs = confusion.most_confused(PAIRS)
    axes.set_title(f'most confused, in {confusion.counted}')
    if not pairs:
        axes.text(0.5, 0.5, 'nothing is confused', ha='center', va='center', transform=axes.transAxes)
        axes.set_axis_off()
        return
    axes.barh(range(len(pairs)), [pair.count for pair in pairs], color='tab:blue')
    axes.set_yticks(range(len(pairs)), [f'{pair.truth} → {pair.predicted}' for pair in pairs], fontsize=9)
    axes.set_ylim(PAIRS - 0.5, -0.5)
    for place, pair in enumerate(pairs):
        words = f' {pair.count} ({pair.share:.0%})'
        axes.annotate(words, (pair.count, place), va='center', fontsize=8, annotation_clip=False)
    axes.set_xlim(0, 1.3 * max(pair.count for pair in pairs))
    axes.spines[['top', 'right']].set_visible(False)


def write_confusion(confusion: Confusion, folder: Path) -> None:
    """The matrix as JSON, a row a line, and as a picture."""
    most_confused = confusion.most_confused(PAIRS_WRITTEN)
    pairs = [{**pair._asdict(), 'share': round(pair.share, 6)} for pair in most_confused]
    head = {'counted': confusion.counted, 'rows': 'truth', 'columns': 'predicted', 'classes': confusion.names}
    lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in head.items()]
    for key, rows in (('most_confused', pairs), ('matrix', confusion.counts.tolist())):
        inner = ',\n'.join(json.dumps(row, ensure_ascii=False) for row in rows)
        lines.append(f'"{key}": [\n{inner}\n]')
    write_text(folder / MATRIX, '{\n' + ',\n'.join(lines) + '\n}\n')
    save(draw_confusion(confusion), folder / MATRIX_PICTURE)


def write_worst(found: Found, truths: Truths, folder: Path) -> None:
    """Write the worst images, the truth beside the prediction, and a table of them."""
    entries = []
    for rank, judged in enumerate(found.worst, start=1):
        info = truths.info(judged.number)
        image, path, verdict = truths.image(info), info['img_path'], judged.verdict
        words = [f'{verdict.score:.3f}: {verdict.why}', path]
        picture = side_by_side(image, truths.truth(info, image), judged.prediction, truths.model.palette, words)
        drawn = Path(PICTURES) / f'{rank:03d}_{Path(path).stem}.png'
        write_image(folder / drawn, picture)
        said = {**verdict._asdict(), 'score': round(verdict.score, 6)}
        entries.append({'rank': rank, 'file_name': path, **said, 'drawn': str(drawn)})
    write_json(folder / TABLE, {'score': SCORES[truths.model.task], 'images': entries})
