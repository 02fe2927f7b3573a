"""Grids of pictures with a title above each: samples of data sets, ground truth beside predictions."""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.config import Config

from ..datasets.checks.sources import built, datasets_of, place_of
from ..errors import UserError
from ..inference import Classification, Prediction
from ..inference.drawing import Colour, choose_palette, draw_prediction
from ..inference.loading import silence_output
from .ground_truth import GroundTruth, build_dataset

# The side of a cell in pixels; where two pictures stand beside each other, it is that of the image, up to the second.
CELL, MAX_CELL = 400, 800
COLUMNS = 4
# Samples of each data set on a contact sheet.
NUM_SAMPLES = 8
DOTS_PER_INCH = 100
# The width of a letter of a title, in pixels.
LETTER = 8


def draw_in_cell(
    image: np.ndarray,
    found: Prediction | None,
    palette: Sequence[Colour],
    with_scores: bool = True,
    side: int = CELL,
) -> np.ndarray:
    """Draw a prediction or ground truth into an image as large as a cell: lines and text stay legible."""
    return draw_prediction(image, found, palette, side / max(image.shape[:2]), with_scores)


def draw_grid(
    pictures: Sequence[np.ndarray], titles: Sequence[str], columns: int = COLUMNS, side: int = CELL
) -> np.ndarray:
    """Lay out pictures (h, w, 3) in rows; returns (height, width, 3) uint8, blue, green, red as they are."""
    rows = -(-len(pictures) // columns)
    height = max((picture.shape[0] for picture in pictures), default=side)
    titles = [fill(title, side // LETTER) for title in titles]
    lines = max((title.count('\n') + 1 for title in titles), default=1)
    inches = np.array([columns * (side + 16), max(rows, 1) * (height + 18 * lines + 24)]) / DOTS_PER_INCH
    figure = Figure(figsize=inches, dpi=DOTS_PER_INCH, layout='constrained')
    for number, (picture, title) in enumerate(zip(pictures, titles, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(picture[..., ::-1])
        axes.set_title(title, fontsize=9)
        axes.axis('off')
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 2::-1])


def draw_pair(
    image: np.ndarray, truth: Prediction | None, found: Prediction, palette: Sequence[Colour], title: str, text: str
) -> np.ndarray:
    """Draw the ground truth of an image, if it is known, beside the prediction."""
    side = int(np.clip(max(image.shape[:2]), CELL, MAX_CELL))
    pictures = [draw_in_cell(image, found, palette, side=side)]
    titles = [f'prediction {text}']
    if truth is not None:
        pictures.insert(0, draw_in_cell(image, truth, palette, with_scores=False, side=side))
        titles.insert(0, f'ground truth: {title}')
    return draw_grid(pictures, titles, len(pictures), side)


def draw_contact_sheet(cfg: Config, loaders: Sequence[str]) -> np.ndarray:
    """Draw random samples of the data sets of some loaders with their ground truth, the same each time.

    Samples that cannot be loaded are left out.

    Returns:
        (height, width, 3) uint8, blue, green, red.
    """
    pictures, titles = [], []
    for settings, kind, _ in datasets_of(cfg, loaders):
        if kind is None:
            continue
        place = place_of(built(settings))
        with suppress(UserError):
            with silence_output():
                truths = GroundTruth(build_dataset(settings, cfg.default_scope), settings, cfg.default_scope)
            palette = choose_palette(len(truths.classes), [truths.dataset.metainfo.get('palette')])
            drawn = 0
            for number in random.Random(0).sample(range(len(truths)), len(truths)):
                if drawn == NUM_SAMPLES:
                    break
                info = truths.get_info(number)
                with suppress(UserError):
                    image = truths.load_image(info)
                    truth = truths.load_truth(info, image)
                    name = Path(info['img_path']).name
                    if isinstance(truth, Classification):
                        name = f'{truth.class_name}: {name}'
                    pictures.append(draw_in_cell(image, truth, palette, with_scores=False))
                    titles.append(f'{place}: {name}')
                    drawn += 1
    return draw_grid(pictures, titles)
