"""Draw grids of pictures with titles: samples of datasets, or ground truth beside predictions."""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from textwrap import fill

import numpy as np
from mmengine.config import Config
from PIL import Image, ImageDraw, ImageFont

from ..datasets.checks.paths import iter_datasets
from ..errors import UserError
from ..inference.drawing import FONT, Colour, choose_palette, draw_prediction
from ..inference.loading import silence_output
from ..inference.results import Prediction
from .ground_truth import build_dataset, load_sample

PICTURE_SIDE = 400  # longer side in pixels of a picture in a grid of several images
LARGE_PICTURE_SIDE = 800  # longer side in a grid of a single image
NUM_SAMPLES = 8  # of each dataset on a contact sheet
# The font of titles, which is monospaced, and its sizes in pixels.
TITLE_FONT, FONT_SIZE = Path(FONT).with_name('DejaVuSansMono.ttf'), 14
LETTER_WIDTH, LINE_HEIGHT = 9, 20
GAP = 10  # margin around a picture, in pixels

Cell = tuple[str, np.ndarray]  # a title, and a picture (h, w, 3) in BGR order


def draw_grid(cells: Sequence[Cell], columns: int = 4) -> np.ndarray:
    """Draw a grid of pictures with their titles. Return (height, width, 3) uint8 in BGR order."""
    columns = min(columns, max(len(cells), 1))
    font = ImageFont.truetype(str(TITLE_FONT), FONT_SIZE)
    width = max((picture.shape[1] for _, picture in cells), default=PICTURE_SIDE)
    titles = [fill(title, width // LETTER_WIDTH) for title, _ in cells]
    top = GAP + LINE_HEIGHT * max((title.count('\n') + 1 for title in titles), default=1)
    rows = [cells[begin : begin + columns] for begin in range(0, len(cells), columns)]
    heights = [top + max(picture.shape[0] for _, picture in row) for row in rows] or [top]
    grid = Image.new('RGB', (GAP + columns * (width + GAP), sum(heights)), 'white')
    for index, (_, picture) in enumerate(cells):
        row, column = divmod(index, columns)
        corner = (GAP + column * (width + GAP), top + sum(heights[:row]))
        ImageDraw.Draw(grid).multiline_text(corner, titles[index], 'black', font, anchor='ld')
        grid.paste(Image.fromarray(picture[..., ::-1]), corner)
    return np.asarray(grid)[..., ::-1]


def draw_cells(
    title: str,
    image: np.ndarray,
    palette: Sequence[Colour],
    ground_truth: Prediction | None,
    prediction: Prediction | None = None,
    side: int = PICTURE_SIDE,
) -> list[Cell]:
    """Draw a picture of the ground truth and one of the prediction, unless None. Their longer side has ``side`` px."""
    scale, cells = side / max(image.shape[:2]), []
    if ground_truth is not None:
        picture = draw_prediction(image, ground_truth, palette, scale, with_scores=False)
        cells.append((title if prediction is None else 'ground truth', picture))
    if prediction is not None:
        cells.append((title, draw_prediction(image, prediction, palette, scale)))
    return cells


def draw_contact_sheet(cfg: Config, loaders: Sequence[str], augmented: bool = False) -> np.ndarray:
    """Draw random samples with ground truth of the datasets of a config's ``loaders``, such as ``['val_dataloader']``.

    Each call draws the same samples. Datasets and samples that cannot be loaded are left out. If ``augmented``, samples
    are drawn as the datasets' pipelines augment them. Return (height, width, 3) uint8 in BGR order.
    """
    cells = []
    for loader, settings in iter_datasets(cfg, loaders):
        with suppress(UserError), silence_output():
            dataset = build_dataset(settings, cfg.default_scope, augmented)
            classes, split = dataset.metainfo.get('classes') or (), loader.removesuffix('_dataloader')
            palette = choose_palette(len(classes), [dataset.metainfo.get('palette')])
            for index in random.Random(0).sample(range(len(dataset)), min(NUM_SAMPLES, len(dataset))):
                with suppress(UserError):
                    path, image, ground_truth = load_sample(dataset, index, classes)
                    cells += draw_cells(f'{split}: {path.name}', image, palette, ground_truth)
    return draw_grid(cells)
