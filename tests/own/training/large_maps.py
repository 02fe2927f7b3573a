"""Train maps of large pictures in tiles and as a whole, and score each class on unseen pictures.

It prints the table in docs/custom_dataset.md: python -m tests.own.training.large_maps FOLDER EPOCHS SEED...
EPOCHS are those of the training in tiles; that on whole pictures has as many iterations.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from mmgcvit import load

from ...tools.commands import call

SIDE = 1024  # of a picture, in pixels
CLASSES = ('ground', 'line', 'area')
NUM_PICTURES = {'train': 16, 'val': 2, 'test': 6}
BATCH_SIZE = 8  # the default of --size mini
TILE = 128  # the default of --tiles: the image size of --size mini


def draw_texture(rng, blur):
    """Draw grey noise (SIDE, SIDE) float32 with structures of about ``blur`` pixels."""
    noise = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), blur)
    return 12 * noise / noise.std()


def draw_picture(rng):
    """Draw ground with large areas of a coarser texture and, above them, lines of 2 to 4 pixels.

    Return the picture (SIDE, SIDE, 3) uint8 and its map (SIDE, SIDE) uint8.
    """
    label_map = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(rng.integers(2, 5)):
        centre = rng.integers(0, SIDE, 2).tolist()
        axes = rng.integers(100, 260, 2).tolist()
        cv2.ellipse(label_map, centre, axes, rng.uniform(0, 180), 0, 360, CLASSES.index('area'), -1)
    shade = rng.uniform(90, 140)
    grey = shade + np.where(label_map, draw_texture(rng, 6), draw_texture(rng, 1.5))
    for _ in range(rng.integers(4, 9)):
        points = rng.integers(0, SIDE, (4, 2)).astype(np.float64)
        steps = np.linspace(0, 1, 200)[:, None]
        # A cubic Bézier curve
        powers = [(1 - steps) ** 3, 3 * (1 - steps) ** 2 * steps, 3 * (1 - steps) * steps**2]
        curve = sum(part * point for part, point in zip([*powers, steps**3], points, strict=True))
        line = np.zeros_like(label_map)
        cv2.polylines(line, [curve.round().astype(np.int32)], False, 1, int(rng.integers(2, 5)))
        label_map[line > 0] = CLASSES.index('line')
        grey[line > 0] += rng.choice([-45, 45])
    picture = grey[..., None] + rng.normal(0, 6, (SIDE, SIDE, 3))
    return picture.clip(0, 255).astype(np.uint8), label_map


def write_pictures(folder):
    """Write pictures and maps, with different random numbers for each split."""
    for seed, (split, number) in enumerate(NUM_PICTURES.items()):
        rng = np.random.default_rng(seed)
        for name in ('images', 'masks'):
            (folder / name / split).mkdir(parents=True)
        for index in range(number):
            picture, label_map = draw_picture(rng)
            cv2.imwrite(str(folder / 'images' / split / f'{index}.png'), picture)
            cv2.imwrite(str(folder / 'masks' / split / f'{index}.png'), label_map)
    (folder / 'classes.txt').write_text('\n'.join(CLASSES))


def compute_ious(run, folder):
    """Return the IoU of each class over all pixels of the unseen pictures."""
    model = load(run, device='cpu')
    counts = np.zeros((len(CLASSES),) * 2, np.int64)  # by true and predicted class
    for path in sorted((folder / 'images' / 'test').iterdir()):
        true = cv2.imread(str(folder / 'masks' / 'test' / path.name), cv2.IMREAD_UNCHANGED)
        np.add.at(counts, (true, model(path).label_map), 1)
    right = counts.diagonal()
    return right / (counts.sum(0) + counts.sum(1) - right)


def main(folder, epochs, seeds):
    """Train both ways with each seed, and print IoUs."""
    data = folder / 'data'
    if not data.is_dir():
        write_pictures(data)
    num_images = NUM_PICTURES['train']
    iterations = epochs * num_images * (SIDE // TILE) ** 2 // BATCH_SIZE
    whole_epochs = iterations // (num_images // BATCH_SIZE)
    for seed in seeds:
        ways = {'tiles': ['--tiles', '--epochs', epochs], 'whole': ['--epochs', whole_epochs]}
        for way, options in ways.items():
            run = folder / f'{way}_{seed}'
            command = ['train', '--data', data, '--task', 'semantic', '--work-dir', run]
            command += ['--device', 'cpu', '--workers', 0, *options]
            # A single validation, at the end: those of large pictures take long.
            settings = [f'randomness.seed={seed}', f'train_cfg.val_interval={iterations}']
            settings += [f'default_hooks.checkpoint.interval={iterations}']
            if not run.is_dir():
                call('', '-m', 'mmgcvit', *command, '--cfg-options', *settings)
            ious = ', '.join(
                f'{name} {iou:.3f}'
                for name, iou in zip(CLASSES, compute_ious(run, data), strict=True)
            )
            print(f'seed {seed}, {way}, {iterations} iterations: {ious}', flush=True)  # noqa: T201


if __name__ == '__main__':
    main(Path(sys.argv[1]), int(sys.argv[2]), [int(seed) for seed in sys.argv[3:]])
