"""Sample pictures for the page, of scanned digits that no model was trained on."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ..datasets.digits import Scene, SceneComposer

FOLDER = 'samples'
SEED = 7
SCENES, SINGLE = 3, 3
# Pixels of a side, as in the demo's data set.
SCENE_SIZE, SINGLE_SIZE = 256, 64
FEWEST_DIGITS = 3


def write_samples(page: Path) -> list[dict[str, str]]:
    """Write scenes of several digits, and single digits.

    Args:
        page: The page's folder.

    Returns:
        What models.json says of them: file and title of each.
    """
    (page / FOLDER).mkdir()
    composer = SceneComposer('val', SCENE_SIZE, SEED)
    scenes = islice(rich_scenes(composer), SCENES)
    singles = SceneComposer('val', SINGLE_SIZE, SEED)
    scans = singles.rng.choice(singles.scans, size=SINGLE, replace=False)
    pictures = [(f'Scene with the digits {in_words(scene)}', scene.image) for scene in scenes]
    pictures += [(f'The digit {singles.digits[scan]}', singles.compose_one(scan)) for scan in scans.tolist()]
    return [written(page, number, title, image) for number, (title, image) in enumerate(pictures, start=1)]


def rich_scenes(composer: SceneComposer) -> Iterator[Scene]:
    """Endless scenes of several digits."""
    return (scene for scene in composer if len(scene.labels) >= FEWEST_DIGITS)


def in_words(scene: Scene) -> str:
    """A scene's digits: '1, 4 and 7'."""
    *others, last = sorted(scene.labels)
    return f'{", ".join(map(str, others))} and {last}'


def written(page: Path, number: int, title: str, image: np.ndarray) -> dict[str, str]:
    """Write a picture (height, width, 3), red, green, blue."""
    file = f'{FOLDER}/{number}.png'
    cv2.imwrite(str(page / file), image[..., ::-1])
    return {'file': file, 'title': title}
