"""Write docs/images/context_pages.jpg: which digits two networks of docs/why_global_queries.md get right, and by what.

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
from mmgcvit.figures.networks import prepare_view
from mmgcvit.inference.predictor import Predictor

PAGES = Path('data/pages')
NUMBERS = (1, 21, 61, 101, 121)
NETWORKS = {'SwinWithoutShifting_0': 'windows', 'SwinWithGlobalQuery_0': 'global queries'}
# Red, green, blue.
RIGHT, WRONG = (60, 200, 90), (240, 60, 50)
# Labels of 6 and 9 are these and above.
TOLD = 3


def draw(work_dirs: Path, out: Path) -> None:
    """A column for each page: as it is; what either network gets right; on what the second's framed digit depends."""
    networks = [mmgcvit.load(work_dirs / name, device='cpu') for name in NETWORKS]
    figure = Figure(figsize=(10, 8), layout='constrained')
    grid = figure.subplots(4, len(NUMBERS))
    for column, number in zip(grid.T, NUMBERS, strict=True):
        name = f'validation/ADE_val_{number:08d}'
        image = cv2.imread(str(PAGES / 'images' / f'{name}.jpg'))
        truth = cv2.imread(str(PAGES / 'annotations' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        _, digits, boxes, _ = cv2.connectedComponentsWithStats((truth >= TOLD).astype(np.uint8))
        framed = 1 + boxes[1:, cv2.CC_STAT_AREA].argmax()
        left, top, width, height, _ = boxes[framed]
        pictures = [image[..., ::-1], *(judged(network, image, truth) for network in networks)]
        pictures.append(influence(networks[-1], image, digits == framed))
        for axes, picture in zip(column, pictures, strict=True):
            axes.imshow(picture, cmap='magma', vmin=0, extent=(0, len(image), len(image), 0))
            axes.add_patch(Rectangle((left - 2, top - 2), width + 3, height + 3, fill=False, color='white'))
            axes.set(xticks=[], yticks=[])
    said = ['pages', *(f'{name}:\nright and wrong' for name in NETWORKS.values()), 'turning this\nchanges the frame']
    for axes, label in zip(grid[:, 0], said, strict=True):
        axes.set_ylabel(label)
    figure.savefig(out, dpi=70)


def judged(network: Predictor, image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The page, (H, W, 3), with digits in the colour of right or wrong."""
    picture = np.repeat(image.mean(-1, keepdims=True) / 2, 3, axis=-1).astype(np.uint8)
    right = network(image).label_map + 1 == truth
    return np.where((truth > 0)[..., None], np.where(right[..., None], RIGHT, WRONG), picture)


def influence(network: Predictor, image: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """By how much a digit's score changes when a cell is turned upside down, for each of them: (CELLS, CELLS)."""
    changes = np.zeros((CELLS, CELLS))
    before, side = score(network, image, digit), len(image) // CELLS
    for row, column in np.ndindex(CELLS, CELLS):
        cell = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        turned, there = image.copy(), digit.copy()
        turned[cell], there[cell] = image[cell][::-1, ::-1], digit[cell][::-1, ::-1]
        changes[row, column] = abs(score(network, turned, there) - before)
    return changes


@torch.no_grad()
def score(network: Predictor, image: np.ndarray, digit: np.ndarray) -> float:
    """A digit's score for upside down, less that for upright, averaged over its pixels."""
    scores = network.network.encode_decode(prepare_view(network, image).inputs, [{'img_shape': image.shape[:2]}])[0]
    upright, upside_down = scores[TOLD - 1 :, digit].mean(1).tolist()
    return upside_down - upright


if __name__ == '__main__':
    draw(Path(sys.argv[1]), Path(__file__).parents[1] / 'images' / 'context_pages.jpg')
