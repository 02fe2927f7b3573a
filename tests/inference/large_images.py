"""Large pages of small digits, what ``mmgcvit predict`` finds on them, and in how much memory.

The figures of docs/predict.md: python -m tests.inference.large_images 1000 4000
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from scipy.ndimage import find_objects
from torchvision.ops import box_iou

from mmgcvit.datasets.digits import DIGIT_INK, SceneComposer

from ..programs import ROOT

DEMO = ROOT / 'configs' / 'demo'
# Of a digit in pixels: in a tile of 256 px, which becomes 128 px, as large as the smaller ones of the demo.
SMALLEST, LARGEST = 48, 96
TILE, PAGE_OF_A_DIGIT = 256, 130**2
# By a small process: to the peak of one that is started belongs that of the one that starts it.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
"""


def page_of(height, width):
    """Digits of scans that the demo was not trained on, on one ground.

    The image (height, width, 3); the digits (n,); and for each pixel the number of its digit from 1, or 0.
    """
    composer = SceneComposer('val')
    rng, image = composer.rng, composer.dark_noise((height, width))
    digits, numbers = [], np.zeros((height, width), np.int32)
    while len(digits) < height * width // PAGE_OF_A_DIGIT:
        scan, side = rng.choice(composer.scans), rng.integers(SMALLEST, LARGEST, endpoint=True)
        top, left = rng.integers(0, [height - side, width - side])
        place = np.s_[top : top + side, left : left + side]
        if not numbers[place].any():
            ink = cv2.resize(composer.ink[scan], (int(side),) * 2, interpolation=cv2.INTER_CUBIC).clip(0, 1)[..., None]
            image[place] += ink * (rng.uniform(150, 255, size=3) - image[place])
            digits.append(composer.digits[scan])
            numbers[place][ink[..., 0] >= DIGIT_INK] = len(digits)
    return image.round().astype(np.uint8), np.array(digits), numbers


def matches(found, digits, numbers):
    """(n, objects) bool: which digits which objects of a prediction are, from an IoU of 0.5 of boxes on."""
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in find_objects(numbers)]
    overlap = box_iou(torch.tensor(boxes, dtype=torch.float32), torch.from_numpy(found.boxes)).numpy()
    return (overlap >= 0.5) & (digits[:, None] == found.labels)


def measured(config, side, options, folder):
    """The share of digits, or of their pixels, that the command finds, wrong objects, peak in MB, processor seconds."""
    image, digits, numbers = page_of(side, side)
    cv2.imwrite(f'{folder}/page.png', image)
    command = ['-m', 'mmgcvit', 'predict', DEMO / f'{config}.py', 'page.png', '--out-dir', 'found', *options]
    command = [sys.executable, '-c', MEASURED, sys.executable, *command, '--overwrite', '--device', 'cpu']
    output = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    kilobytes, seconds = map(float, output.split()[-2:])
    if config.startswith('upernet'):
        label_map, wrong = cv2.imread(f'{folder}/found/labels/page.png', cv2.IMREAD_UNCHANGED), ''
        share = (label_map[numbers > 0] == 1 + digits[numbers[numbers > 0] - 1]).mean()
    else:
        records = json.loads(Path(folder, 'found', 'predictions.json').read_text())
        boxes = np.array([record['bbox'] for record in records], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([record['category_id'] - 1 for record in records], int)
        which = matches(SimpleNamespace(boxes=boxes, labels=labels), digits, numbers)
        share, wrong = which.any(1).mean(), int((~which.any(0)).sum())
    return f'{share:.3f} | {wrong} | {kilobytes / 1e3:.0f} | {seconds:.0f}'


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        for config in ('mask_rcnn_gcvit_digits', 'upernet_gcvit_digits'):
            for side in map(int, sys.argv[1:]):
                for options in ((), ('--tiles', str(TILE), '--batch-size', '8')):
                    row = config, side, ' '.join(options), measured(config, side, options, folder)
                    sys.stdout.write(' | '.join(map(str, row)) + '\n')
