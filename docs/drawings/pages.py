"""Draw which digits two networks of docs/why_global_queries.md predict correctly, into
docs/images/context_pages.jpg.

PYTHONPATH=docs/extensions/pages python docs/drawings/pages.py work_dirs/pages
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pages_of_digits import CELLS

import mmgcvit
from mmgcvit.predict.predictor import Predictor
from tools.figures.views import prepare_view

PAGES = Path('data/pages')
NUMBERS = (1, 21, 61, 101, 121)
NETWORKS = {'SwinWithoutShifting_0': 'windows', 'SwinWithGlobalQuery_0': 'global queries'}
# Red, green, blue: a blue and an orange that the colour-blind can tell apart.
RIGHT, WRONG = (86, 180, 233), (230, 120, 0)
# The labels of 6 and 9 start here.
FIRST_AMBIGUOUS = 3


def draw(work_dirs: Path, out: Path) -> None:
    """Draw a column for each page: the page, the predictions, and the cells on which the framed
    digit depends.
    """
    networks = [mmgcvit.load(work_dirs / name, device='cpu') for name in NETWORKS]
    figure = Figure(figsize=(10, 8), layout='constrained')
    grid = figure.subplots(4, len(NUMBERS))
    for column, number in zip(grid.T, NUMBERS, strict=True):
        name = f'validation/ADE_val_{number:08d}'
        image = cv2.imread(str(PAGES / 'images' / f'{name}.jpg'))
        gt = cv2.imread(str(PAGES / 'annotations' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        _, digits, boxes, _ = cv2.connectedComponentsWithStats(
            (gt >= FIRST_AMBIGUOUS).astype(np.uint8)
        )
        framed = 1 + boxes[1:, cv2.CC_STAT_AREA].argmax()
        left, top, width, height, _ = boxes[framed]
        pictures = [draw_correct(network, image, gt) for network in networks]
        influence = measure_influence(networks[-1], image, digits == framed)
        pictures = [image[..., ::-1], *pictures, influence]
        for axes, picture in zip(column, pictures, strict=True):
            axes.imshow(picture, cmap='magma', vmin=0, extent=(0, len(image), len(image), 0))
            size = (width + 3, height + 3)
            axes.add_patch(Rectangle((left - 2, top - 2), *size, fill=False, color='white'))
            axes.set(xticks=[], yticks=[])
    labels = [f'{name}:\nblue is right' for name in NETWORKS.values()]
    labels = ['pages', *labels, 'cells that the\nframe depends on']
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    figure.savefig(out, dpi=70)


def draw_correct(network: Predictor, image: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Return the page, (H, W, 3), with digits in the colours of correct and wrong predictions."""
    picture = np.repeat(image.mean(-1, keepdims=True) / 2, 3, axis=-1).astype(np.uint8)
    is_correct = network(image).label_map + 1 == gt
    picture[gt > 0] = WRONG
    picture[(gt > 0) & is_correct] = RIGHT
    return picture


def measure_influence(network: Predictor, image: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """Return by how much a digit's score changes if a cell is rotated by 180 degrees, for each
    cell: (CELLS, CELLS).
    """
    changes = np.zeros((CELLS, CELLS))
    before, side = compute_score(network, image, digit), len(image) // CELLS
    for row, column in np.ndindex(CELLS, CELLS):
        cell = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        rotated, rotated_digit = image.copy(), digit.copy()
        rotated[cell], rotated_digit[cell] = image[cell][::-1, ::-1], digit[cell][::-1, ::-1]
        changes[row, column] = abs(compute_score(network, rotated, rotated_digit) - before)
    return changes


@torch.no_grad()
def compute_score(network: Predictor, image: np.ndarray, digit: np.ndarray) -> float:
    """Return a digit's mean score for upside down minus its mean score for upright."""
    scores = network.network.encode_decode(
        prepare_view(network, image).inputs, [{'img_shape': image.shape[:2]}]
    )[0]
    upright, upside_down = scores[FIRST_AMBIGUOUS - 1 :, digit].mean(1).tolist()
    return upside_down - upright


if __name__ == '__main__':
    draw(Path(sys.argv[1]), Path(__file__).parents[1] / 'images' / 'context_pages.jpg')
