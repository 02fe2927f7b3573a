"""Draw grids of pictures with titles: samples of datasets, or ground truth beside predictions."""

import io
import random
from collections.abc import Sequence
from contextlib import suppress
from textwrap import fill

import cv2
import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from ..config import iter_unwrapped_datasets
from ..errors import UserError
from ..inference.drawing import Colour, choose_palette, draw_prediction
from ..inference.loading import silence_output
from ..inference.results import Detections, Prediction
from .ground_truth import build_dataset, load_sample

PICTURE_SIDE = 400  # longer side in pixels of a picture in a grid of several images
LARGE_PICTURE_SIDE = 800  # longer side in a grid of a single image
# Maximum number of samples of each dataset on a contact sheet.
NUM_SAMPLES = 8
# In a picture with more detections, labels would hide the image, so only boxes and masks are drawn.
MAX_LABELLED = 25
DOTS_PER_INCH = 100
LETTER_WIDTH, LINE_HEIGHT = 9, 20  # of titles, in pixels
GAP = 10  # margin around a picture, in pixels

# A title, and a picture (h, w, 3) in BGR order.
Cell = tuple[str, np.ndarray]


def draw_grid(cells: Sequence[Cell], columns: int = 4) -> np.ndarray:
    """Draw a grid of pictures with their titles. Return (height, width, 3) uint8 in BGR order."""
    width = max((picture.shape[1] for _, picture in cells), default=PICTURE_SIDE)
    titles = [fill(title, width // LETTER_WIDTH) for title, _ in cells]
    lines = max((title.count('\n') + 1 for title in titles), default=1)
    # Each row is as high as its highest picture.
    rows = [cells[begin : begin + columns] for begin in range(0, len(cells), columns)] or [[('', np.zeros((1, 1, 3)))]]
    heights = [max(picture.shape[0] for _, picture in row) for row in rows]
    height = sum(heights) + len(rows) * (LINE_HEIGHT * lines + 2 * GAP)
    figure = Figure(np.array([columns * (width + 2 * GAP), height]) / DOTS_PER_INCH, layout='constrained')
    figure.get_layout_engine().set(w_pad=GAP / DOTS_PER_INCH, h_pad=GAP / DOTS_PER_INCH)
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for position, (title, (_, picture)) in enumerate(zip(titles, cells, strict=True)):
        axes = figure.add_subplot(grid[position // columns, position % columns])
        axes.imshow(picture[..., ::-1])
        axes.set_title(title, fontsize=10, loc='left')
        # Put the picture at the top left of its cell, so that it is aligned with its title and the pictures of its row.
        axes.set_anchor('NW')
        axes.axis('off')
    file = io.BytesIO()
    # With bbox_inches='tight', no part of a title is cut off.
    figure.savefig(file, dpi=DOTS_PER_INCH, bbox_inches='tight', pad_inches=0.05)
    return cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)


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
    is_crowded = isinstance(prediction, Detections) and len(prediction) > MAX_LABELLED
    if ground_truth is not None:
        picture = draw_prediction(image, ground_truth, palette, scale, with_scores=False)
        cells.append((title if prediction is None else 'ground truth', picture))
    if prediction is not None:
        cells.append((title, draw_prediction(image, prediction, palette, scale, with_labels=not is_crowded)))
    return cells


def draw_contact_sheet(cfg: Config, loaders: Sequence[str], augmented: bool = False) -> np.ndarray:
    """Draw random samples with ground truth of the datasets of a config's ``loaders``, such as ``['val_dataloader']``.

    Each call draws the same samples. Datasets and samples that cannot be loaded are left out. If ``augmented``, samples
    are drawn as the datasets' pipelines augment them.

    Returns:
        (height, width, 3) uint8 in BGR order.
    """
    cells, drawn = [], []
    for name in loaders:
        # iter_unwrapped_datasets yields the datasets inside wrappers such as ConcatDataset.
        for settings in iter_unwrapped_datasets((cfg.get(name) or {}).get('dataset')):
            if settings in drawn:
                continue
            drawn.append(settings)
            with suppress(UserError), silence_output():
                dataset = build_dataset(settings, cfg.default_scope, augmented)
                classes, split = dataset.metainfo.get('classes') or (), name.removesuffix('_dataloader')
                palette = choose_palette(len(classes), [dataset.metainfo.get('palette')])
                for index in random.Random(0).sample(range(len(dataset)), min(NUM_SAMPLES, len(dataset))):
                    with suppress(UserError):
                        path, image, ground_truth = load_sample(dataset, index, classes)
                        cells += draw_cells(f'{split}: {path.name}', image, palette, ground_truth)
    return draw_grid(cells)
