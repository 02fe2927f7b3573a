"""Write a dataset of scanned digits in the formats of COCO, ADE20K and ImageNet: python
tools/make_digits.py FOLDER.

The folder then has ``coco`` and ``ADEChallengeData2016`` (the same scenes, which are images with
several digits) and ``imagenet`` (images of a single digit). The same options always give the same
files. The folder must be new or empty. The digits are scikit-learn's scans.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import check_at_least
from mmgcvit.errors import UserError
from mmgcvit.host.files import TEMPORARY_SUFFIX, write_image

SPLITS = ('train', 'val')
VAL_FRACTION = 0.2
MAX_DIGITS = 5  # in a scene
PLACEMENT_TRIES = 50  # random positions and sizes tried for each digit
# Ink ranges from 0 to 1. At DIGIT_INK or more a pixel belongs to the digit, below BACKGROUND_INK to
# the background.
DIGIT_INK, BACKGROUND_INK = 0.4, 0.2
CATEGORIES = [
    {'id': digit + 1, 'name': str(digit), 'supercategory': 'digit'} for digit in range(10)
]
# The names of ADE20K's folders for the splits.
FOLDERS = {'train': 'training', 'val': 'validation'}
# Labels. As in ADE20K, 0 means "not labelled", and training and evaluation ignore it.
UNLABELLED, BACKGROUND, FIRST_DIGIT = 0, 1, 2

MIN_SIZE = 128  # minimum of --size
# Number of classification images of each scanned digit.
COPIES = {'train': 4, 'val': 1}
DIGIT_DIVISOR = 4  # side of a scene / side of a classification image


@dataclass
class Scene:
    """An image (height, width, 3) in RGB, and its ground truth: digits that do not overlap."""

    image: NDArray[np.uint8]
    # The digit that each object shows.
    labels: list[int]
    # The masks of the objects, (objects, height, width).
    masks: NDArray[np.bool_]
    # The index of each object's scan in scikit-learn's dataset of digits.
    scans: list[int]
    # A mask, (height, width), of the digits' blurred edges, which are not labelled.
    unclear: NDArray[np.bool_]


class SceneComposer:
    """Compose random scenes of a split (``'train'`` or ``'val'``).

    ``size`` is the default side, at least 32 px.
    """

    def __init__(self, split: str, size: int = 256, seed: int = 0):
        # Imported here, so that the command names the extra that has it.
        from sklearn.datasets import load_digits

        self.size = size
        digits = load_digits()
        self.ink = (digits.images / digits.images.max()).astype(np.float32)
        self.digits = digits.target.tolist()
        shuffled = np.random.default_rng(seed).permutation(len(self.digits))
        num_val = round(VAL_FRACTION * len(shuffled))
        self.scans = shuffled[:num_val] if split == 'val' else shuffled[num_val:]
        self.rng = np.random.default_rng([seed, SPLITS.index(split)])

    def __iter__(self) -> Iterator[Scene]:
        while True:
            yield self.compose()

    def compose(
        self, shape: tuple[int, int] | None = None, smallest: int = 3, largest: int = 9
    ) -> Scene:
        """Compose a scene of one to five digits with sides of smallest/16 to largest/16 of the
        image's shorter side.
        """
        image = self.make_background(shape)
        occupied = np.zeros(image.shape[:2], dtype=bool)
        unclear = occupied.copy()
        labels, masks, scans = [], [], []
        for scan in self.rng.choice(
            self.scans, size=self.rng.integers(1, MAX_DIGITS, endpoint=True), replace=False
        ):
            ink = self.draw_scan(image, scan, occupied, smallest, largest)
            if ink is None:
                continue
            mask = ink >= DIGIT_INK
            occupied |= ink > 0
            unclear |= (ink >= BACKGROUND_INK) & ~mask
            labels.append(self.digits[scan])
            masks.append(mask)
            scans.append(int(scan))
        return Scene(image.round().astype(np.uint8), labels, np.stack(masks), scans, unclear)

    def compose_single(self, scan: int, shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Compose an RGB image of one large digit, (height, width, 3).

        It is square unless a shape is given.
        """
        image = self.make_background(shape)
        self.draw_scan(image, scan, np.zeros(image.shape[:2], dtype=bool), smallest=11, largest=16)
        return image.round().astype(np.uint8)

    def draw_scan(
        self,
        image: NDArray[np.float32],
        scan: int,
        occupied: NDArray[np.bool_],
        smallest: int,
        largest: int,
    ) -> NDArray[np.float32] | None:
        """Draw a scan in a bright colour at a free position.

        Return its ink (0 to 1), or None if there is no room.
        """
        height, width = occupied.shape
        shorter = min(height, width)
        for _ in range(PLACEMENT_TRIES):
            side = int(
                self.rng.integers(shorter * smallest // 16, shorter * largest // 16, endpoint=True)
            )
            digit = cv2.resize(self.ink[scan], (side, side), interpolation=cv2.INTER_CUBIC).clip(
                0, 1
            )
            digit[digit < 0.05] = 0
            top, left = self.rng.integers(0, [height - side, width - side], endpoint=True)
            window = np.s_[top : top + side, left : left + side]
            if not (occupied[window] & (digit > 0)).any():
                colour = self.rng.uniform(150, 255, size=3).astype(np.float32)
                image[window] += digit[..., None] * (colour - image[window])
                ink = np.zeros((height, width), dtype=np.float32)
                ink[window] = digit
                return ink
        return None

    def make_background(self, shape: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Return a dark background with noise: (height, width, 3), values from 0 to 255."""
        shade = self.rng.uniform(10, 50, size=3)
        noise = self.rng.normal(shade, 12, size=(*(shape or (self.size, self.size)), 3))
        return noise.clip(0, 255, out=noise).astype(np.float32)


def write_coco(
    root: Path,
    scenes: Iterable[Scene],
    split: str,
    categories: Sequence[dict[str, Any]] = CATEGORIES,
    choose_category: Callable[[int], int] = int,
) -> None:
    """Write ``<root>/<split>2017/*.jpg`` and ``<root>/annotations/instances_<split>2017.json``.

    The additional key ``scan`` is the scan's index in scikit-learn's dataset. ``choose_category``
    returns a digit's index in ``categories``.
    """
    from pycocotools import mask as coco_mask

    content: dict[str, Any] = {'images': [], 'annotations': [], 'categories': [*categories]}
    for image_id, scene in enumerate(scenes, start=1):
        file_name = f'{image_id:012d}.jpg'
        write_image(root / f'{split}2017' / file_name, scene.image[..., ::-1])
        height, width = scene.image.shape[:2]
        content['images'].append(
            {'id': image_id, 'file_name': file_name, 'height': height, 'width': width}
        )
        for label, mask, scan in zip(scene.labels, scene.masks, scene.scans, strict=True):
            encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            content['annotations'].append(
                {
                    'id': len(content['annotations']) + 1,
                    'image_id': image_id,
                    'category_id': categories[choose_category(label)]['id'],
                    'bbox': coco_mask.toBbox(encoded).tolist(),
                    'area': int(coco_mask.area(encoded)),
                    'iscrowd': 0,
                    'segmentation': {'size': encoded['size'], 'counts': encoded['counts'].decode()},
                    'scan': scan,
                }
            )
    (root / 'annotations').mkdir(exist_ok=True)
    (root / 'annotations' / f'instances_{split}2017.json').write_text(json.dumps(content))


def label_digits(scene: Scene) -> NDArray[np.uint8]:
    """Return a scene's segmentation map, (height, width): 0 at blurred edges, 1 for background, 2
    to 11 for digits.
    """
    background = np.full(scene.unclear.shape, BACKGROUND, dtype=np.uint8)
    return draw_labels(scene, background, [FIRST_DIGIT + label for label in scene.labels])


def draw_labels(
    scene: Scene, labels: NDArray[np.uint8], values: Iterable[int]
) -> NDArray[np.uint8]:
    """Write 0 at blurred edges and each object's value into a segmentation map, in place.

    Return the map.
    """
    labels[scene.unclear] = UNLABELLED
    for value, mask in zip(values, scene.masks, strict=True):
        labels[mask] = value
    return labels


def write_ade20k(
    root: Path,
    scenes: Iterable[Scene],
    split: str,
    draw_map: Callable[[Scene], NDArray[np.uint8]] = label_digits,
) -> None:
    """Write ``<root>/images/<folder>/ADE_<split>_*.jpg`` and
    ``<root>/annotations/<folder>/ADE_<split>_*.png``.
    """
    for number, scene in enumerate(scenes, start=1):
        name = f'{FOLDERS[split]}/ADE_{split}_{number:08d}'
        write_image(root / 'images' / f'{name}.jpg', scene.image[..., ::-1])
        write_image(root / 'annotations' / f'{name}.png', draw_map(scene))


def write_imagenet(root: Path, composer: SceneComposer, split: str, copies: int) -> None:
    """Write ``<root>/<split>/<digit>/<scan>_<copy>.jpg``.

    Draw each scan ``copies`` times, in random colours.
    """
    for scan in composer.scans.tolist():
        for copy in range(copies):
            path = root / split / str(composer.digits[scan]) / f'{scan:04d}_{copy}.jpg'
            write_image(path, composer.compose_single(scan)[..., ::-1])


@contextmanager
def write_folder_atomically(out: Path) -> Iterator[Path]:
    """Write a new folder atomically: write a temporary folder beside it, then rename it.

    Yields:
        The temporary folder, to which the caller writes. It is removed if the caller raises an
        error.

    Raises:
        UserError: The folder exists and is not empty.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f'{out} already exists. Choose another folder, or remove it')
    temporary = out.absolute().with_name(
        f'{out.absolute().name}.{uuid4().hex[:8]}{TEMPORARY_SUFFIX}'
    )
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', type=Path, help='output folder, for example data/digits')
    text = 'number of training scenes, images with several digits (default: %(default)s)'
    parser.add_argument('--train', type=int, default=800, help=text)
    parser.add_argument(
        '--val', type=int, default=80, help='number of validation scenes (default: %(default)s)'
    )
    parser.add_argument(
        '--size', type=int, default=256, help='side of the scenes in pixels (default: %(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')


def main(args: argparse.Namespace) -> None:
    check_at_least(args, train=1, val=1, size=MIN_SIZE)
    with write_folder_atomically(args.out) as folder:
        for split, num_images in (('train', args.train), ('val', args.val)):
            scenes = islice(SceneComposer(split, args.size, args.seed), num_images)
            scenes = list(track(scenes, total=num_images, description=f'composing {split} scenes'))
            write_coco(folder / 'coco', scenes, split)
            write_ade20k(folder / 'ADEChallengeData2016', scenes, split)
            digit_composer = SceneComposer(split, args.size // DIGIT_DIVISOR, args.seed)
            write_imagenet(folder / 'imagenet', digit_composer, split, COPIES[split])
    print(f'{args.out}: {args.train} training and {args.val} validation scenes')


if __name__ == '__main__':
    run_command(sys.modules[__name__])
