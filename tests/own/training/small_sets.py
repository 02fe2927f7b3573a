"""Six small sets of pictures of different kinds, with which classifiers are compared.

==============  ===========  ========================================================================
set             training     what it is
==============  ===========  ========================================================================
spectrograms    6 x 30       made sounds (sweeps, clicks, chords, ...) in noise, as pictures of 96 x 64
textures        6 x 20       parts of six photos and pictures of scikit-image, grey, of equal contrast
shapes          6 x 30       drawn by shaky lines: spirals, zigzags, houses, ...
digits          10 x 20      scikit-learn's scanned digits, of 8 x 8 pixels
colours         5 x 30       drawn leaves in the colours of five states
faces           2 x 50       scikit-image's faces and no faces of LFW, of 25 x 25 pixels
==============  ===========  ========================================================================

No picture, and no part of a photo, is in the training and the test images.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Picture = NDArray[np.uint8]  # (H, W, 3), in BGR
Pictures = dict[str, list[Picture]]  # by class
SETS = ('spectrograms', 'textures', 'shapes', 'digits', 'colours', 'faces')
SPLITS = ('train', 'test')
NUM_TEST = 50  # images of a class
SKIMAGE_DATA = Path(skimage.__file__).parent / 'data'
RATE = 8000  # samples in a second


def make_spectrograms(random: Generator, count: int) -> Pictures:
    """Make pictures of sounds of one second, which begin at any time and are high or low."""
    kinds = ('rising', 'falling', 'clicks', 'chord', 'tremolo', 'trill')
    return {kind: [draw_spectrogram(random, kind) for _ in range(count)] for kind in kinds}


def draw_spectrogram(random: Generator, kind: str) -> Picture:
    """Draw the spectrogram of a sound."""
    time = np.arange(RATE) / RATE
    begin = random.uniform(0.05, 0.35)
    length = random.uniform(0.35, 0.6)
    part = ((time - begin) / length).clip(0, 1)
    is_on = (part > 0) & (part < 1)
    base = random.uniform(500, 1500)
    change = random.uniform(500, 1500)
    loudness = np.ones_like(time)
    frequencies = [np.full_like(time, base)]
    match kind:
        case 'rising':
            frequencies = [base + change * part]
        case 'falling':
            frequencies = [base + change * (1 - part)]
        case 'clicks':
            rate = random.uniform(6, 12)
            loudness = ((part * length * rate) % 1 < 0.15) * 3.0
            frequencies = [base * ratio + random.uniform(0, 200) for ratio in (1, 1.37, 1.83, 2.4)]
        case 'chord':
            frequencies = [np.full_like(time, base * ratio) for ratio in (1, 1.25, 1.5)]
        case 'tremolo':
            loudness = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(5, 9) * part)
        case 'trill':
            step = np.sin(2 * np.pi * random.uniform(5, 9) * part) > 0
            frequencies = [base + 250 * step]
    sound = sum(np.sin(2 * np.pi * np.cumsum(each + 0 * time) / RATE) for each in frequencies)
    sound = sound * loudness * is_on * random.uniform(0.5, 1.5)
    sound = sound + random.normal(0, random.uniform(0.5, 1.5), RATE)
    window = 128
    starts = np.linspace(0, RATE - window, 96).astype(int)
    frames = np.stack([sound[start : start + window] for start in starts]) * np.hanning(window)
    power = np.abs(np.fft.rfft(frames)[:, :64]).T[::-1]
    level = np.log1p(power)
    level = (255 * level / level.max()).astype(np.uint8)
    return cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)


def make_textures(random: Generator, count: int, split: str) -> Pictures:
    """Cut parts out of photos: training images out of the left half, test images of the right."""
    names = ('gravel', 'brick', 'grass', 'moon', 'ihc', 'retina')
    return {name: list(cut_parts(random, name, count, split)) for name in names}


def cut_parts(random: Generator, name: str, count: int, split: str) -> list[Picture]:
    """Cut turned parts of 64 px out of half of a photo, in grey and with equal contrast."""
    (path,) = SKIMAGE_DATA.glob(f'{name}.*')
    photo = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32)
    photo = cv2.resize(photo, (512, 512), interpolation=cv2.INTER_AREA)
    left = 0 if split == 'train' else 256
    half = photo[:, left : left + 256]
    if name == 'retina':  # without the black rim
        half = half[100:412, 60:256] if split == 'train' else half[100:412, :196]
    parts: list[Picture] = []
    while len(parts) < count:
        side = int(random.uniform(64, 112))
        top = random.integers(half.shape[0] - side + 1)
        start = random.integers(half.shape[1] - side + 1)
        part = cv2.resize(half[top : top + side, start : start + side], (64, 64))
        part = np.rot90(part, random.integers(4))
        scale = 45 / max(part.std(), 4)
        part = (part - part.mean()) * scale + random.uniform(100, 156)
        parts.append(cv2.cvtColor(part.clip(0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR))
    return parts


def make_shapes(random: Generator, count: int) -> Pictures:
    """Draw shapes with shaky lines at any place."""
    kinds = ('spiral', 'zigzag', 'house', 'wave', 'eight', 'stairs')
    return {kind: [draw_line(random, kind) for _ in range(count)] for kind in kinds}


def draw_line(random: Generator, kind: str) -> Picture:
    """Draw a shape as one line, in one colour on another one."""
    t = np.linspace(0, 1, 60)
    match kind:
        case 'spiral':
            angle = 2 * np.pi * random.uniform(2, 3) * t
            points = np.stack([np.cos(angle), np.sin(angle)], 1) * t[:, None]
        case 'zigzag':
            corners = np.arange(7)
            points = np.stack([corners / 3 - 1, np.where(corners % 2, 0.5, -0.5)], 1)
        case 'house':
            points = np.array([[-1, 1], [-1, -0.2], [0, -1], [1, -0.2], [1, 1], [-1, 1], [1, -0.2]])
        case 'wave':
            points = np.stack([2 * t - 1, 0.5 * np.sin(2 * np.pi * 2.5 * t)], 1)
        case 'eight':
            points = np.stack([np.sin(4 * np.pi * t) * 0.6, np.cos(2 * np.pi * t)], 1)
        case _:
            corners = np.arange(8)
            points = np.stack([(corners + 1) // 2 / 2 - 1, 1 - corners // 2 / 1.5], 1)
    turn = random.normal(0, 0.3)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = points @ matrix * random.uniform(14, 24, 2) + random.uniform(26, 38, 2)
    points = points + random.normal(0, 0.8, points.shape)
    background = random.uniform(0, 255, 3)
    colour = background + np.where(background.mean() < 127, 1, -1) * random.uniform(70, 120)
    picture = np.full((64, 64, 3), background, np.float32)
    thickness = int(random.integers(1, 4))
    cv2.polylines(
        picture, [(points * 8).astype(np.int32)], False, colour.tolist(), thickness, 16, 3
    )
    picture += random.normal(0, random.uniform(2, 20), picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def make_digits(random: Generator, count: int, split: str) -> Pictures:
    """Return scanned digits: training images of the first half of them, test images of the second."""
    digits = load_digits()
    half = len(digits.target) // 2
    chosen = slice(half) if split == 'train' else slice(half, None)
    images = (digits.images[chosen] * 255 / 16).astype(np.uint8)
    pictures = {}
    for digit in range(10):
        found = images[digits.target[chosen] == digit]
        drawn = random.choice(len(found), count, replace=False)
        pictures[str(digit)] = [cv2.cvtColor(found[i], cv2.COLOR_GRAY2BGR) for i in drawn]
    return pictures


def make_colours(random: Generator, count: int) -> Pictures:
    """Draw leaves in the colours of five states."""
    states = {
        'healthy': [(45, 140, 50)],
        'pale': [(70, 175, 120)],
        'autumn': [(30, 110, 190), (40, 60, 170)],
        'rust': [(45, 140, 50), (30, 80, 150)],
        'mould': [(45, 140, 50), (190, 200, 195)],
    }
    return {
        name: [draw_leaf(random, np.array(colours, float)) for _ in range(count)]
        for name, colours in states.items()
    }


def draw_leaf(random: Generator, colours: NDArray[np.float64]) -> Picture:
    """Draw a leaf whose second colour, if there is one, is in spots, in some light."""
    ground = random.uniform(20, 220, (3, 3, 3)).astype(np.float32)
    picture = cv2.resize(ground, (72, 72), interpolation=cv2.INTER_CUBIC)
    leaf = np.zeros((72, 72), np.uint8)
    axes = (int(random.uniform(20, 33)), int(random.uniform(11, 20)))
    centre = random.integers(28, 45, 2).tolist()
    cv2.ellipse(leaf, centre, axes, random.uniform(0, 180), 0, 360, 255, -1)
    surface = np.full((72, 72, 3), colours[0], np.float32)
    if len(colours) > 1:
        for _ in range(random.integers(8, 20)):
            spot = random.integers(5, 67, 2).tolist()
            cv2.circle(surface, spot, int(random.integers(2, 6)), colours[1].tolist(), -1)
    surface += random.normal(0, 12, 3)
    picture[leaf > 0] = surface[leaf > 0]
    picture = picture * random.uniform(0.7, 1.25) + random.normal(0, 8, picture.shape)
    return cv2.GaussianBlur(picture, (0, 0), 0.8).clip(0, 255).astype(np.uint8)


def make_faces(random: Generator, count: int, split: str) -> Pictures:
    """Return faces and no faces: 100 each, of which the first 50 are for training."""
    images = np.load(SKIMAGE_DATA / 'lfw_subset.npy')  # (200, 25, 25), 0 to 1, faces first
    first = 0 if split == 'train' else 50
    pictures = {}
    for name, start in (('face', 0), ('other', 100)):
        drawn = start + first + random.choice(50, count, replace=False)
        grey = (images[drawn] * 255).astype(np.uint8)
        pictures[name] = [cv2.cvtColor(each, cv2.COLOR_GRAY2BGR) for each in grey]
    return pictures


def make_sets(random: Generator, split: str) -> dict[str, Pictures]:
    """Make the training or the test images of all sets."""
    is_train = split == 'train'

    def choose(count: int) -> int:
        return count if is_train else NUM_TEST

    return {
        'spectrograms': make_spectrograms(random, choose(30)),
        'textures': make_textures(random, choose(20), split),
        'shapes': make_shapes(random, choose(30)),
        'digits': make_digits(random, choose(20), split),
        'colours': make_colours(random, choose(30)),
        'faces': make_faces(random, 50, split),
    }


def write_sets(folder: Path, seed: int) -> None:
    """Write the sets as class folders, folder/SET/SPLIT/CLASS/NUMBER.png."""
    for split in SPLITS:
        random = np.random.default_rng((seed, SPLITS.index(split)))
        for name, pictures in make_sets(random, split).items():
            for class_name, images in pictures.items():
                for number, image in enumerate(images):
                    path = folder / name / split / class_name / f'{class_name}_{number:03d}.png'
                    path.parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(path), image)


def read_split(folder: Path) -> tuple[list[Picture], NDArray[np.int64]]:
    """Read the images of class folders, and their labels (n,)."""
    images = []
    labels = []
    for label, class_folder in enumerate(sorted(folder.iterdir())):
        for path in sorted(class_folder.iterdir()):
            images.append(cv2.imread(str(path)))
            labels.append(label)
    return images, np.array(labels)
