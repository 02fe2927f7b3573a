"""Draw grids of images with their ground truth and predictions."""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torchvision.transforms.functional import pil_to_tensor
from torchvision.utils import make_grid

from ...datasets.loading import build_dataset
from ...errors import UserError
from ...host.datasets import iter_datasets
from ...host.runners import silence_output
from ...predict.drawing import FONT, Colour, choose_palette, draw_prediction
from ...predict.results import Detections, Prediction
from .evaluations import find_evaluation
from .parts import choose_part
from .samples import Sample, load_sample
from .task_evaluation import TaskEvaluation

PICTURE_SIDE = 400  # longer side in pixels of a picture in a grid of several images
LARGE_PICTURE_SIDE = 800  # longer side in a grid of a single image
NUM_SAMPLES = 8  # of each dataset on a contact sheet
# The font of titles, which is monospaced, and its sizes in pixels.
TITLE_FONT = Path(FONT).with_name('DejaVuSansMono.ttf')
FONT_SIZE = 14
LETTER_WIDTH = 9
LINE_HEIGHT = 20
GAP = 10  # between pictures, in pixels


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture of a grid with its title."""

    title: str
    picture: NDArray[np.uint8]  # (h, w, 3) in BGR order


def draw_grid(cells: Sequence[Cell], columns: int = 4) -> NDArray[np.uint8]:
    """Draw a grid of pictures with their titles. Return (height, width, 3) uint8 in BGR order."""
    font = ImageFont.truetype(str(TITLE_FONT), FONT_SIZE)
    height, width, _ = np.max([cell.picture.shape for cell in cells], axis=0).tolist()
    titles = []
    for cell in cells:
        lines = [fill(line, width // LETTER_WIDTH) for line in cell.title.splitlines()]
        titles.append('\n'.join(lines))
    top = LINE_HEIGHT * (1 + max(title.count('\n') for title in titles))
    tiles = []
    for title, cell in zip(titles, cells, strict=True):
        tile = Image.new('RGB', (width, top + height), 'white')
        ImageDraw.Draw(tile).multiline_text(
            (0, top), text=title, fill='black', font=font, anchor='ld'
        )
        # The picture stays in BGR order: the title is black on white, which has no order.
        tile.paste(Image.fromarray(cell.picture), (0, top))
        tiles.append(pil_to_tensor(tile))
    grid = make_grid(tiles, columns, padding=GAP, pad_value=255)
    return grid.permute(1, 2, 0).numpy()


def draw_cells(
    title: str,
    image: NDArray[np.uint8],
    palette: Sequence[Colour],
    ground_truth: Prediction | None,
    prediction: Prediction,
    side: int,
    evaluation: TaskEvaluation[Any, Any],
) -> list[Cell]:
    """Draw a picture of the ground truth and one of the prediction, whose longer side has ``side``
    px.
    """
    scale = side / max(image.shape[:2])
    left = draw_prediction(image, ground_truth, palette, scale=scale, with_scores=False)
    if ground_truth is None:
        right = draw_prediction(image, prediction, palette, scale=scale)
    else:
        right = evaluation.draw_beside(image, ground_truth, prediction, palette, scale=scale)
        title = '\n'.join(filter(None, [title, evaluation.describe_drawing()]))
    return [Cell('ground truth', left), Cell(title, right)]


def draw_contact_sheet(
    cfg: Config, loaders: Sequence[str], augmented: bool = False
) -> NDArray[np.uint8]:
    """Draw random samples with ground truth of the datasets of a config's ``loaders``, such as
    ``['val_dataloader']``.

    Each call draws the same samples. Of an image with many or small objects, a part is drawn
    (:func:`.choose_part`). Datasets and samples that cannot be loaded are left out. If
    ``augmented``, samples are drawn as the datasets' pipelines augment them. Return (height, width,
    3) uint8 in BGR order. Raise a UserError if no sample can be drawn, or none of this scope.
    """
    cells = []
    evaluation = find_evaluation(cfg.get('default_scope'))
    for loader, settings in iter_datasets(cfg, loaders):
        with suppress(UserError), silence_output():
            dataset = build_dataset(settings, cfg.default_scope, augmented)
            classes = dataset.metainfo.get('classes') or ()
            palette = choose_palette(len(classes), [dataset.metainfo.get('palette')])
            num_samples = min(NUM_SAMPLES, len(dataset))
            for index in random.Random(0).sample(range(len(dataset)), num_samples):
                with suppress(UserError):
                    sample = load_sample(dataset, index, classes, evaluation)
                    if sample.ground_truth is not None:
                        title = f'{loader.removesuffix("_dataloader")}: {sample.path.name}'
                        cells.append(draw_sample(title, sample, palette))
    if not cells:
        raise UserError('no sample of the data can be drawn')
    return draw_grid(cells)


def draw_sample(title: str, sample: Sample, palette: Sequence[Colour]) -> Cell:
    """Draw the ground truth of a sample, or of a part of it, which the title names then."""
    image = sample.image
    ground_truth = sample.ground_truth
    if isinstance(ground_truth, Detections):
        part = choose_part(image, ground_truth.boxes, PICTURE_SIDE)
        if part:
            title += f'\n{part.describe(image)}'
            image, ground_truth = part.cut(image, ground_truth)
    scale = PICTURE_SIDE / max(image.shape[:2])
    picture = draw_prediction(image, ground_truth, palette, scale=scale, with_scores=False)
    return Cell(title, picture)
