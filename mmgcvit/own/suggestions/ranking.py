"""Order pictures so that each is uncertain, and unlike the training pictures and those before it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import Features

# So many pictures are chosen one after another. The others follow by their distance to all of them.
MAX_CHOSEN = 1000
NUM_DIGITS = 3  # of distances


@dataclass(frozen=True)
class Ranked:
    """A picture of a ranking."""

    index: int  # among all pictures
    # The distance of its features to the nearest of the training pictures and of those before it
    distance: float


def rank(uncertainty: NDArray[np.float64], features: Features, known: Features) -> list[Ranked]:
    """Rank pictures: a greedy k-centre in which distances are weighted by the uncertainty.

    The next picture is always the one with the highest product of its uncertainty and its distance
    to the nearest picture that is known or ranked before it. Of equal products, as of pictures
    about which the model is certain, the one with the larger distance comes first, and then the
    earlier one.

    Args:
        uncertainty: (pictures,), from 0 to 1.
        features: The features of the pictures.
        known: Those of the training pictures. Without any, all distances begin at 1.
    """
    distances: NDArray[np.float64] = np.ones(len(features))
    if len(known):
        distances = compute_distances(features, known).min(1)
    ranking: list[Ranked] = []
    is_left = np.ones(len(features), bool)
    while is_left.any() and len(ranking) < MAX_CHOSEN:
        index = next(iter_best(uncertainty, distances, is_left))
        ranking.append(Ranked(index, float(distances[index])))
        is_left[index] = False
        nearest = compute_distances(features, features[[index]])[:, 0]
        distances = np.minimum(distances, nearest)
    for index in iter_best(uncertainty, distances, is_left):
        ranking.append(Ranked(index, float(distances[index])))
    return ranking


def iter_best(
    uncertainty: NDArray[np.float64], distances: NDArray[np.float64], is_left: NDArray[np.bool_]
) -> Iterator[int]:
    """Yield the indices of the pictures that are left, the best first."""
    indices = np.flatnonzero(is_left)
    products = uncertainty[indices] * distances[indices]
    # lexsort sorts by its last key first.
    order = np.lexsort((indices, -distances[indices], -products))
    yield from indices[order].tolist()


def compute_distances(first: Features, second: Features) -> NDArray[np.float64]:
    """Return the Euclidean distances (n, m) of n and m features, scaled to length 1.

    They are rounded, so that a picture and its copy have the distance 0.
    """
    # The length of features in float32 is not exactly 1, which distances near 0 would show.
    cosines = scale_to_length_1(first) @ scale_to_length_1(second).T
    return np.sqrt(np.clip(2 - 2 * cosines, 0, None)).round(NUM_DIGITS)


def scale_to_length_1(features: Features) -> NDArray[np.float64]:
    """Return features (n, channels) in float64, each with length 1. Features of zeros stay."""
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1)
