"""Simulate the choice of pictures: how many labels a score needs by ``suggest``'s ranking and by chance.

    python -m tests.own.suggestions.simulated 3

labels pictures of three sets in rounds, with the seeds 0 to 2, and prints the table of
docs/labelling.md. A logistic regression on the pooled feature maps of mini's backbone stands for the
network, as a training would take too long; features, uncertainty and order are those of ``suggest``.

* digits: scikit-learn's scanned digits, ten classes of equal size;
* rare digits: the same, but half of the classes have a tenth of the pictures;
* shapes: circles, squares, triangles and stars of any size, place and brightness, in noise; the
  features hardly tell them apart.
"""

import sys
from collections.abc import Callable

import cv2
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmgcvit import load
from mmgcvit.own.suggestions.features import pool_maps
from mmgcvit.own.suggestions.ranking import rank

SIDE = 64
# Of circles, squares, triangles and stars
NUM_CORNERS = (40, 4, 3, 10)
STAR = 3
NUM_POOL, NUM_TEST = 400, 400
FIRST, STEP, NUM_ROUNDS = 20, 20, 9
ORDERS = ('chance', 'suggest', 'uncertainty only', 'distance only')


def read_digits(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    pictures = [cv2.resize(16 * image, (SIDE, SIDE)) for image in data.images]
    order = draw.permutation(len(pictures))
    return np.clip(pictures, 0, 255).astype(np.uint8)[order], data.target[order]


def read_rare_digits(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return digits whose first 400, the pool, have few pictures of five classes."""
    pictures, labels = read_digits(draw)
    is_rare = labels < 5
    is_pool = ~is_rare | (draw.random(len(labels)) < 0.1)
    pool = np.flatnonzero(is_pool)[:NUM_POOL]
    others = np.setdiff1d(np.arange(len(labels)), pool)
    order = np.concatenate([pool, draw.permutation(others)])
    return pictures[order], labels[order]


def draw_shapes(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = draw.integers(0, 4, NUM_POOL + NUM_TEST)
    pictures = []
    for label in labels:
        picture = draw.integers(0, 120, (SIDE, SIDE), dtype=np.uint8)
        radius = draw.uniform(6, 18)
        centre = draw.uniform(radius, SIDE - radius, 2)
        corners = NUM_CORNERS[label]
        angles = draw.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) / corners
        lengths = np.full(corners, radius)
        if label == STAR:
            lengths[1::2] /= 2
        points = centre + lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(picture, [points.round().astype(np.int32)], int(draw.integers(80, 256)))
        pictures.append(picture)
    return np.array(pictures), labels


SETS: dict[str, Callable] = {
    'digits': read_digits,
    'rare digits': read_rare_digits,
    'shapes': draw_shapes,
}


def describe(pictures: np.ndarray) -> np.ndarray:
    """Return the features of grey pictures (n, SIDE, SIDE)."""
    backbone = load('configs/demo/mask_rcnn_gcvit_objects.py', device='cpu').network.backbone
    found = []
    with torch.no_grad():
        for batch in np.array_split(pictures, 10):
            inputs = torch.from_numpy(batch).float()[:, None].expand(-1, 3, -1, -1)
            found.append(pool_maps(backbone((inputs - 116) / 58)))
    return np.concatenate(found)


def choose(order: str, draw, probabilities, features, is_labelled) -> np.ndarray:
    """Return the indices of the next pictures to label."""
    left = np.flatnonzero(~is_labelled)
    if order == 'chance':
        return draw.choice(left, STEP, replace=False)
    highest = np.sort(probabilities[left], 1)
    uncertainty = 1 - (highest[:, -1] - highest[:, -2])
    if order == 'distance only':
        uncertainty = np.ones_like(uncertainty)
    if order == 'uncertainty only':
        return left[np.argsort(-uncertainty, kind='stable')[:STEP]]
    ranking = rank(uncertainty, features[left], features[is_labelled])
    return left[[each.index for each in ranking[:STEP]]]


def simulate(order: str, features: np.ndarray, labels: np.ndarray, seed: int) -> list[float]:
    """Return the accuracy on the test pictures after each round, whose first labels are equal."""
    draw = np.random.default_rng(seed)
    is_labelled = np.zeros(NUM_POOL, bool)
    is_labelled[draw.choice(NUM_POOL, FIRST, replace=False)] = True
    test = slice(NUM_POOL, NUM_POOL + NUM_TEST)
    scores = []
    for _ in range(NUM_ROUNDS):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        model.fit(features[:NUM_POOL][is_labelled], labels[:NUM_POOL][is_labelled])
        scores.append(model.score(features[test], labels[test]))
        probabilities = model.predict_proba(features[:NUM_POOL])
        is_labelled[choose(order, draw, probabilities, features[:NUM_POOL], is_labelled)] = True
    return scores


def count_labels(scores: np.ndarray, goal: float) -> str:
    """Return how many labels a mean score first needs, or that more are needed."""
    reached = np.flatnonzero(scores >= goal)
    last = FIRST + STEP * (NUM_ROUNDS - 1)
    return str(FIRST + STEP * reached[0]) if len(reached) else f'over {last}'


def main(num_seeds: int) -> None:
    for name, read in SETS.items():
        curves = {order: [] for order in ORDERS}
        for seed in range(num_seeds):
            pictures, labels = read(np.random.default_rng(seed))
            features = describe(pictures[: NUM_POOL + NUM_TEST])
            for order in ORDERS:
                curves[order].append(simulate(order, features, labels, seed))
        means = {order: np.mean(found, 0) for order, found in curves.items()}
        goal = means['chance'][-1]
        for order, found in means.items():
            text = ' '.join(f'{value:.3f}' for value in found)
            print(f'{name}, {order}: {count_labels(found, goal)} labels; {text}')  # noqa: T201


if __name__ == '__main__':
    main(int(sys.argv[1]))
