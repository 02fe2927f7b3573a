"""Make a dataset of free objects on free photos, for the configs configs/demo/*_objects.py.

Objects, all of the class ``object``: Microsoft's Fluent emoji, rendered in 3D (npm's
``@lobehub/fluent-emoji-3d``, MIT), by the subcategories of npm's ``emoji-datasource-google`` (MIT).
Backgrounds: Poly Haven's panoramas (npm's ``@pmndrs/assets``, CC0), photos of scikit-image (CC0 or
    public domain; see its README.txt), gradients and noise. Every
tenth emoji is held out for the validation images::

    npm pack @lobehub/fluent-emoji-3d@1.1.0 emoji-datasource-google@16.0.0 @pmndrs/assets@1.7.0
    python tools/make_object_scenes.py FOLDER_OF_THE_TGZ_FILES data/objects
"""

import argparse
import base64
import json
import os
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolType
from pathlib import Path

# OpenCV reads this variable when it reads the first file of this type.
os.environ['OPENCV_IO_ENABLE_OPENEXR'] = '1'
import cv2
import numpy as np
import skimage
from make_digits import write_folder_atomically
from numpy.random import Generator
from numpy.typing import NDArray

from mmgcvit.commands.main import run_command
from mmgcvit.errors import UserError

# Emoji of these categories are flat signs or tones of skin.
LEFT_OUT = ('Symbols', 'Flags', 'Component')
SKIMAGE_PHOTOS = (
    'brick',
    'camera',
    'cell',
    'chelsea',
    'clock_motion',
    'grass',
    'hubble_deep_field',
    'ihc',
)
SIZES = ((256, 256), (256, 192), (192, 256), (320, 240))
# Objects that would hide more than this fraction of another one are not pasted.
MAX_HIDDEN = 0.6


def find_package(folder: Path, name: str) -> Path:
    """Return the only file of an npm package in a folder, or raise a UserError."""
    paths = sorted(folder.glob(f'{name}-*.tgz'))
    if len(paths) != 1:
        raise UserError(
            f'{folder} has {len(paths)} files {name}-*.tgz. Expected one, which npm pack writes'
        )
    return paths[0]


def read_packages(
    folder: Path,
) -> tuple[dict[str, list[tuple[str, bytes]]], list[NDArray[np.uint8]]]:
    """Return the emoji as {subcategory: [(code, encoded image)]} and the panoramas as BGR uint8
    images.
    """
    groups, panoramas, images = defaultdict(list), [], {}
    with tarfile.open(find_package(folder, 'lobehub-fluent-emoji-3d')) as file:
        for member in file:
            if member.name.endswith('.webp'):
                images[Path(member.name).stem] = file.extractfile(member).read()
    with tarfile.open(find_package(folder, 'emoji-datasource-google')) as file:
        entries = json.load(file.extractfile('package/emoji.json'))
    for entry in sorted(entries, key=lambda entry: entry['unified']):
        code = entry['unified'].lower()
        code = code if code in images else code.replace('-fe0f', '')
        # A woman or man of the person before.
        is_variant = '200d-2640' in code or '200d-2642' in code
        if entry['category'] not in LEFT_OUT and code in images and not is_variant:
            groups[entry['subcategory']].append((code, images[code]))
    with tarfile.open(find_package(folder, 'pmndrs-assets')) as file:
        for name in sorted(name for name in file.getnames() if name.endswith('.exr.js')):
            text = file.extractfile(name).read().split(b'base64,')[1].rstrip(b"';\n ")
            light = cv2.imdecode(
                np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED
            )
            light = np.nan_to_num(light[..., :3].clip(0, 1e3))
            # Expose like a camera: the median is a middle grey, highlights saturate. 1 / 2.2 is the
            # gamma of sRGB.
            exposed = (light * 0.2 / (np.median(light) + 1e-6)).clip(0, 1) ** (1 / 2.2)
            panoramas.append(cv2.resize((exposed * 255).astype(np.uint8), (1024, 512)))
    return dict(groups), panoramas


class Scenes:
    """Draws scene number n of a split: the same for the same number."""

    def __init__(
        self,
        groups: dict[str, list[tuple[str, bytes]]],
        photos: Sequence[NDArray[np.uint8]],
        split: str,
    ):
        self.classes = sorted(groups)
        # Validation images have emoji and photos that no training image has.
        is_val, self.seed = split == 'val', split == 'val'
        self.photos = [photo for i, photo in enumerate(photos) if (i % 8 == 0) == is_val]
        self.groups = [
            [image for i, (_, image) in enumerate(groups[name]) if (i % 10 == 5) == is_val]
            for name in self.classes
        ]
        # Classes with many emoji are seen more often, but less than in proportion.
        weights = np.sqrt([len(group) for group in self.groups])
        self.weights = weights / weights.sum()

    def draw(self, number: int) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
        """Return an image (H, W, 3) in BGR uint8 and the masks of its objects, (H, W) bool each."""
        random = np.random.default_rng((self.seed, number))
        width, height = SIZES[random.integers(len(SIZES))]
        image = self.draw_background(random, width, height)
        owners, areas = np.zeros((height, width), np.int32), []
        for emoji, size in self.choose_objects(random):
            image = self.paste(random, image, owners=owners, areas=areas, emoji=emoji, size=size)
        image = photograph(random, image)
        masks = [owners == number for number in range(1, len(areas) + 1)]
        return image, [mask for mask in masks if mask.sum() >= 16]

    def choose_objects(self, random: Generator) -> Iterator[tuple[NDArray[np.uint8], float]]:
        """Yield the emoji of a scene, (h, w, 4) in BGRA, and the size of each in pixels."""
        kind = random.uniform()
        if kind < 0.06:  # none
            return
        if kind < 0.25:  # many of few kinds
            count = random.integers(5, 25)
            repeated = [self.choose(random) for _ in range(random.integers(1, 3))]
            base = np.exp(random.uniform(np.log(12), np.log(48)))
            for _ in range(count):
                encoded = repeated[random.integers(len(repeated))]
                yield read_emoji(encoded), base * random.uniform(0.7, 1.4)
        else:
            for _ in range(random.integers(1, 8)):
                encoded = self.choose(random)
                yield read_emoji(encoded), np.exp(random.uniform(np.log(14), np.log(190)))

    def choose(self, random: Generator) -> bytes:
        """Choose a class, then one of its emoji."""
        while True:
            group = self.groups[random.choice(len(self.groups), p=self.weights)]
            if group:
                return group[random.integers(len(group))]

    def draw_background(self, random: Generator, width: int, height: int) -> NDArray[np.float32]:
        """Draw a part of a photo, a gradient or noise, (height, width, 3) float32."""
        kind = random.uniform()
        if kind < 0.75:
            image = self.cut(random, self.photos[random.integers(len(self.photos))], width, height)
        elif kind < 0.9:
            corners = random.uniform(0, 255, (random.integers(1, 4), random.integers(1, 4), 3))
            image = cv2.resize(
                corners.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
            )
        else:
            image = sum(
                cv2.resize(random.normal(0, 60 / 2**i, (4**i + 1, 4**i + 1, 3)), (width, height))
                for i in range(4)
            )
            image = image + random.uniform(40, 215, 3)
        return np.asarray(image, np.float32).clip(0, 255)

    def cut(
        self, random: Generator, photo: NDArray[np.uint8], width: int, height: int
    ) -> NDArray[np.float32]:
        """Return a random part of a photo, in random colours, resized to ``width`` x ``height``."""
        largest = min(photo.shape[1] / width, photo.shape[0] / height)
        scale = largest * np.exp(random.uniform(np.log(0.35), 0))
        w, h = int(width * scale), int(height * scale)
        x, y = random.integers(photo.shape[1] - w + 1), random.integers(photo.shape[0] - h + 1)
        part = cv2.resize(
            photo[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_AREA
        )
        part = part[:, ::-1] if random.uniform() < 0.5 else part
        return recolour(random, part.astype(np.float32), hue=0.3)

    def paste(
        self,
        random: Generator,
        image: NDArray[np.float32],
        owners: NDArray[np.int32],
        areas: list[int],
        emoji: NDArray[np.uint8],
        size: float,
    ) -> NDArray[np.float32]:
        """Return the image with an emoji (h, w, 4) of ``size`` pixels, unless it would hide others.

        ``owners`` (height, width) gets the number of the object at its pixels, ``areas`` its area.
        """
        warped, place = warp(random, emoji, size, owners.shape)
        alpha = warped[..., 3] / 255
        mask = alpha > 0.5
        if mask.sum() < 30:
            return image
        for number, area in enumerate(areas, start=1):
            if (owners[~mask] == number).sum() < (1 - MAX_HIDDEN) * area:
                return image
        areas.append(mask.sum())
        owners[mask] = len(areas)
        colours = self.draw_surface(random, warped[..., :3], place, size)
        if random.uniform() < 0.5:
            image = draw_shadow(random, image, alpha, size)
        if random.uniform() < 0.3:  # out of focus
            sigma = random.uniform(0.4, 1.5)
            alpha = cv2.GaussianBlur(alpha, (0, 0), sigma)
            colours = cv2.GaussianBlur(colours, (0, 0), sigma)
        alpha = alpha[..., None]
        return alpha * colours.clip(0, 255) + (1 - alpha) * image

    def draw_surface(
        self,
        random: Generator,
        colours: NDArray[np.float32],
        place: NDArray[np.float64],
        size: float,
    ) -> NDArray[np.float32]:
        """Return the colours (H, W, 3) of an object at ``place`` (x, y) with another hue, the
        structure of a photo on its surface, and light from one side.
        """
        height, width = colours.shape[:2]
        hue = 1.0 if random.uniform() < 0.4 else 0.1
        colours = recolour(random, colours, hue)
        if random.uniform() < 0.5:
            photo = self.photos[random.integers(len(self.photos))]
            texture = self.cut(random, photo, width, height).mean(2, keepdims=True)
            contrast = texture / (texture.mean() + 1) - 1
            colours = colours * (1 + random.uniform(0.2, 0.8) * contrast)
        if random.uniform() < 0.6:
            direction = random.normal(0, 1, 2)
            y, x = np.mgrid[:height, :width]
            ramp = ((x - place[0]) * direction[0] + (y - place[1]) * direction[1]) / size
            colours = colours * (1 + 0.4 * np.tanh(ramp))[..., None]
        return colours


def warp(
    random: Generator, emoji: NDArray[np.uint8], size: float, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Draw an emoji (h, w, 4) of ``size`` pixels, turned, stretched, sheared and in perspective,
    into an image of this (height, width).

    Return the image (height, width, 4) as float32, and the position (x, y) of its centre.
    """
    height, width = shape
    rows, columns = np.nonzero(emoji[..., 3] > 127)
    corners = np.array([[columns.min(), rows.min()], [columns.max(), rows.max()]], np.float64)
    centre = corners.mean(0)
    scale = size / (np.ptp(corners, axis=0).max() + 1)
    linear = choose_linear_map(random) * scale
    linear = linear @ (np.eye(2) + random.normal(0, 0.08, (2, 2)))  # a little shear
    if random.uniform() < 0.5:
        linear[:, 0] *= -1
    margin = size / 2 if random.uniform() < 0.8 else 0  # 0: may be cut by an edge of the image
    low = np.minimum((margin, margin), (width / 2, height / 2))
    high = np.maximum(np.array([width, height]) - margin, low)
    place = random.uniform(low, high)
    to_size = np.eye(3)
    to_size[:2, :2], to_size[:2, 2] = linear, -linear @ centre
    perspective = np.eye(3)
    perspective[2, :2] = random.normal(0, 0.15 / size, 2)
    to_place = np.eye(3)
    to_place[:2, 2] = place
    if scale < 0.7:
        emoji = cv2.GaussianBlur(emoji, (0, 0), max(0.3 / scale, 0.5))
    matrix = to_place @ perspective @ to_size
    warped = cv2.warpPerspective(emoji, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return warped.astype(np.float32), place


def choose_linear_map(random: Generator) -> NDArray[np.float64]:
    """Choose an angle, mostly a small one, and a stretch. Return their matrix (2, 2)."""
    angle = random.normal(0, 0.25) if random.uniform() < 0.8 else random.uniform(-np.pi, np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    stretch = np.exp(random.normal(0, 0.12))
    return np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([stretch, 1 / stretch])


def draw_shadow(
    random: Generator, image: NDArray[np.float32], alpha: NDArray[np.float32], size: float
) -> NDArray[np.float32]:
    """Return the image (H, W, 3) with the shadow of an object of this opacity (H, W)."""
    shift = (random.uniform(-0.2, 0.2, 2) * size).astype(int)
    moved = np.roll(alpha, tuple(shift), (0, 1))
    sigma = max(size * random.uniform(0.02, 0.12), 0.5)
    shadow = cv2.GaussianBlur(moved, (0, 0), sigma)
    return image * (1 - random.uniform(0.2, 0.7) * shadow)[..., None]


def photograph(random: Generator, image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Add what a camera adds: light, contrast, blur, noise and JPEG."""
    image = recolour(random, image, hue=0.05)
    if random.uniform() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.2))
    if random.uniform() < 0.5:
        image = image + random.normal(0, random.uniform(1, 10), image.shape)
    if random.uniform() < 0.08:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    quality = int(random.integers(35, 96))
    encoded = cv2.imencode(
        '.jpg', image.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)


@cache
def read_emoji(encoded: bytes) -> NDArray[np.uint8]:
    """Decode an emoji, (h, w, 4) in BGRA."""
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)


def recolour(random: Generator, image: NDArray[np.float32], hue: float) -> NDArray[np.float32]:
    """Return a float32 image (H, W, 3) with other hue (up to ``hue`` of the circle), saturation,
    gamma and contrast.
    """
    hsv = cv2.cvtColor((image.clip(0, 255) / 255).astype(np.float32), cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0] + random.uniform(-180, 180) * hue) % 360
    hsv[..., 1] = (hsv[..., 1] * random.uniform(0.3, 1.3)).clip(0, 1)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR) ** np.exp(random.normal(0, 0.25))
    return ((image - 0.5) * random.uniform(0.7, 1.2) + 0.5 + random.uniform(-0.1, 0.1)).clip(
        0, 1
    ) * 255


def write_split(scenes: Scenes, folder: Path, split: str, count: int, pool: PoolType) -> None:
    """Write the images, the COCO file and the segmentation maps (0: background, 1: object) of a
    split.
    """
    (folder / split).mkdir(parents=True)
    (folder / 'maps' / split).mkdir(parents=True)
    images, annotations = [], []
    for number, (image, masks) in enumerate(pool.imap(scenes.draw, range(count), chunksize=20)):
        name = f'{number:05d}.jpg'
        cv2.imwrite(str(folder / split / name), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        labels = np.any(masks, axis=0) if masks else np.zeros(image.shape[:2], bool)
        cv2.imwrite(
            str(folder / 'maps' / split / name.replace('.jpg', '.png')), labels.astype(np.uint8)
        )
        images.append(
            {'id': number, 'file_name': name, 'width': image.shape[1], 'height': image.shape[0]}
        )
        for mask in masks:
            outlines, _ = cv2.findContours(
                mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            polygons = [outline.ravel().tolist() for outline in outlines if len(outline) >= 3]
            if polygons:
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': number,
                        'category_id': 1,
                        'iscrowd': 0,
                        'bbox': cv2.boundingRect(mask.astype(np.uint8)),
                        'area': int(mask.sum()),
                        'segmentation': polygons,
                    }
                )
    content = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'object'}],
    }
    (folder / 'annotations').mkdir(exist_ok=True)
    (folder / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('packages', type=Path, help='the folder of the three .tgz files')
    parser.add_argument('target', type=Path, help='the folder to write')
    parser.add_argument(
        '--count', type=int, default=7000, help='training images (default: %(default)s)'
    )


def main(args: argparse.Namespace) -> None:
    groups, photos = read_packages(args.packages)
    folder = Path(skimage.__file__).parent / 'data'
    for name in SKIMAGE_PHOTOS:
        (path,) = folder.glob(f'{name}.*')
        photos.append(cv2.imread(str(path)))
    with write_folder_atomically(args.target) as folder, Pool() as pool:
        for split, count in (('val', 300), ('train', args.count)):
            write_split(Scenes(groups, photos, split), folder, split, count, pool)
    print(f'{args.target}: {args.count} training and 300 validation scenes')


if __name__ == '__main__':
    run_command(sys.modules[__name__])
