"""Train detectors on made pictures with frequent and rare classes, and compare confidence thresholds
on unseen pictures, by a scorer of their own. It prints the table in docs/custom_dataset.md:

    python -m tests.evaluation.trained_thresholds FOLDER EPOCHS SEED...

The two sets are pages with musical symbols (black and white note heads, clefs, and few sharps and
flats) and dishes of cells (round ones, and fewer long, ring-shaped and dark ones). Three choices are
compared: one threshold for all classes, the run's own choice, and a threshold of each class with ten
objects where its F1 on the validation pictures is highest.
"""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from mmgcvit import load
from mmgcvit.runs import RunFolder

SIZE = (192, 256)  # (height, width) of a picture, in pixels
NUM_PICTURES = {'train': 32, 'val': 16, 'test': 40}
MIN_OBJECTS = 10
MIN_SCORE = 0.06
SYMBOLS = {'black': 16, 'white': 6, 'clef': 2, 'sharp': 1.2, 'flat': 1.2}  # objects in a page
CELLS = {'round': 10, 'long': 3, 'ring': 1.5, 'dark': 1.2}


def draw_page(rng):
    """Draw two staves with symbols on them. Return the picture and its objects (label, box)."""
    picture = np.full(SIZE, rng.uniform(215, 250), np.float32)
    for top in (40, 120):
        for line in range(5):
            picture[top + 8 * line] = 60
    objects = place(rng, SYMBOLS, 26)
    for label, (x, y) in objects:
        draw_symbol(picture, [*SYMBOLS][label], x, y, rng)
    return finish(rng, picture), [
        (label, find_box(label, SYMBOLS, x, y)) for label, (x, y) in objects
    ]


SYMBOL_SIZES = {
    'black': (12, 9),
    'white': (12, 9),
    'clef': (14, 34),
    'sharp': (10, 18),
    'flat': (9, 17),
}
CELL_SIZES = {'round': (16, 16), 'long': (26, 11), 'ring': (17, 17), 'dark': (16, 16)}


def find_box(label, classes, x, y):
    """Return the box (left, top, width, height) of an object around a point."""
    sizes = SYMBOL_SIZES if classes is SYMBOLS else CELL_SIZES
    width, height = sizes[[*classes][label]]
    return [x - width / 2, y - height / 2, width, height]


def place(rng, classes, spacing):
    """Choose labels and points (x, y) that are at least ``spacing`` pixels apart, or half of it in
    height.
    """
    points = []
    objects = []
    for label, number in reversed([*enumerate(classes.values())]):  # rare classes first
        for _ in range(rng.poisson(number)):
            point = np.array([rng.integers(16, SIZE[1] - 16), rng.integers(22, SIZE[0] - 22)])
            distances = [
                np.abs((point - other) / (spacing / 2 + 4, spacing)).max() for other in points
            ]
            if min(distances, default=1) >= 1:
                points.append(point)
                objects.append((label, point.tolist()))
    return objects


def draw_symbol(picture, name, x, y, rng):
    ink = float(rng.uniform(10, 60))
    width, height = SYMBOL_SIZES[name]
    left, right, top, bottom = x - width // 2, x + width // 2, y - height // 2, y + height // 2
    if name in ('black', 'white'):
        thickness = -1 if name == 'black' else 2
        cv2.ellipse(picture, (x, y), (width // 2 - 1, height // 2 - 1), -15, 0, 360, ink, thickness)
    elif name == 'clef':
        cv2.line(picture, (x, top), (x, bottom), ink, 2)
        cv2.ellipse(picture, (x, y + 5), (6, 8), 0, 0, 360, ink, 2)
        cv2.ellipse(picture, (x, y - 9), (4, 7), 0, 0, 360, ink, 1)
    elif name == 'sharp':
        for offset in (-2, 2):
            cv2.line(picture, (x + offset, top), (x + offset, bottom), ink, 1)
            cv2.line(picture, (left, y + 2 * offset + 1), (right, y + 2 * offset - 1), ink, 2)
    else:
        cv2.line(picture, (left + 1, top), (left + 1, bottom), ink, 1)
        cv2.ellipse(picture, (x, y + 4), (4, 4), 0, 0, 360, ink, 1)


def draw_dish(rng):
    """Draw cells on an uneven ground. Return the picture and its objects (label, box)."""
    ground = rng.uniform(120, 180, (3, 4)).astype(np.float32)
    picture = cv2.resize(ground, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    objects = place(rng, CELLS, 26)
    for label, (x, y) in objects:
        name = [*CELLS][label]
        width, height = CELL_SIZES[name]
        axes = (width // 2 - 1, height // 2 - 1)
        grey = float(picture[y, x]) + rng.normal(-70 if name == 'dark' else -30, 10)
        thickness = 3 if name == 'ring' else -1
        cv2.ellipse(picture, (x, y), axes, 0, 0, 360, grey, thickness)
    return finish(rng, picture), [
        (label, find_box(label, CELLS, x, y)) for label, (x, y) in objects
    ]


def finish(rng, picture):
    """Blur a grey picture, and add noise. Return it as (H, W, 3) uint8."""
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.2))
    picture = picture + rng.normal(0, rng.uniform(4, 14), picture.shape)
    return cv2.cvtColor(picture.clip(0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


PICTURE_SETS = {'music': (SYMBOLS, draw_page), 'cells': (CELLS, draw_dish)}


def write_pictures(folder, classes, draw, seed):
    """Write pictures of all splits, and their objects as COCO files."""
    (folder / 'annotations').mkdir(parents=True)
    for split, number in NUM_PICTURES.items():
        rng = np.random.default_rng((seed, len(split)))
        (folder / split).mkdir()
        images = []
        annotations = []
        for index in range(number):
            picture, objects = draw(rng)
            cv2.imwrite(str(folder / split / f'{split}_{index}.png'), picture)
            shape = {'height': SIZE[0], 'width': SIZE[1]}
            images.append({'id': index, 'file_name': f'{split}_{index}.png', **shape})
            for label, box in objects:
                annotation = {
                    'id': len(annotations) + 1,
                    'image_id': index,
                    'category_id': label + 1,
                }
                area = box[2] * box[3]
                annotations.append({**annotation, 'bbox': box, 'area': area, 'iscrowd': 0})
        categories = [{'id': label + 1, 'name': name} for label, name in enumerate(classes)]
        content = {'images': images, 'annotations': annotations, 'categories': categories}
        (folder / 'annotations' / f'{split}.json').write_text(json.dumps(content))


def train(data, run, epochs, seed):
    command = [sys.executable, '-m', 'mmgcvit', 'train', '--data', data, '--task', 'detect']
    command += ['--size', 'mini', '--device', 'cpu', '--workers', 0, '--no-progress', '--no-flip']
    command += ['--epochs', epochs, '--work-dir', run, '--cfg-options', f'randomness.seed={seed}']
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def match_pictures(model, folder, split):
    """Match detections with objects of their class in order of score, at an IoU of at least 0.5.

    Return the scores of each class, whether each is right, and the number of objects.
    """
    content = json.loads((folder / 'annotations' / f'{split}.json').read_text())
    found = {label: [] for label in range(len(content['categories']))}
    num_objects = dict.fromkeys(found, 0)
    for image in content['images']:
        prediction = model(folder / split / image['file_name'])
        true = [x for x in content['annotations'] if x['image_id'] == image['id']]
        for label, matches in found.items():
            boxes = np.array([x['bbox'] for x in true if x['category_id'] == label + 1], float)
            boxes = boxes.reshape(-1, 4)
            num_objects[label] += len(boxes)
            is_class = prediction.labels == label
            matches += match(prediction.boxes[is_class], prediction.scores[is_class], boxes)
    return [(np.array(found[label], float).reshape(-1, 2), num_objects[label]) for label in found]


def match(boxes, scores, true_boxes):
    """Return (score, whether right) of the detections (n, 4) of a class in an image."""
    corners = np.hstack([true_boxes[:, :2], true_boxes[:, :2] + true_boxes[:, 2:]])
    is_free = np.ones(len(corners), bool)
    matches = []
    for index in np.argsort(-scores, kind='stable'):
        box = boxes[index]
        sides = np.minimum(corners[:, 2:], box[2:]) - np.maximum(corners[:, :2], box[:2])
        common = sides.clip(min=0).prod(1)
        union = (box[2:] - box[:2]).prod() + true_boxes[:, 2:].prod(1) - common
        ious = np.where(is_free, common / union, 0)
        is_right = bool(ious.max(initial=0) >= 0.5)
        if is_right:
            is_free[ious.argmax()] = False
        matches.append((scores[index], is_right))
    return matches


def find_best_threshold(matches, num_objects):
    """Return the threshold with the highest F1 of a class."""
    candidates = np.unique(matches[:, 0])
    scores = [compute_f1(*count(matches, each), num_objects) for each in candidates]
    return candidates[int(np.argmax(scores))]


def count(matches, threshold):
    """Return the numbers of detections and of right ones from a threshold on."""
    is_kept = matches[:, 0] >= threshold
    return is_kept.sum(), matches[is_kept, 1].sum()


def compute_f1(num_found, num_right, num_objects):
    return 2 * num_right / max(num_found + num_objects, 1)


def score(classes, thresholds):
    """Return F1 over all objects, and the mean F1 over the classes."""
    counts = np.array(
        [
            [*count(matches, threshold), num_objects]
            for (matches, num_objects), threshold in zip(classes, thresholds, strict=True)
        ]
    )
    return compute_f1(*counts.sum(0)), np.mean([compute_f1(*row) for row in counts])


def compare(data, run):
    """Return (F1 over all, mean over classes) on the unseen pictures for each choice."""
    checkpoint = RunFolder(run).read_best_checkpoint()
    chosen = RunFolder(run).read_thresholds(str(checkpoint.source))
    model = load(run, device='cpu', score_thr=MIN_SCORE)
    validated = match_pictures(model, data, 'val')
    own = [
        find_best_threshold(matches, number) if number >= MIN_OBJECTS and len(matches) else None
        for matches, number in validated
    ]
    choices = {
        'one threshold': [chosen.overall] * len(own),
        'chosen': [*chosen.list_by_class(model.classes).values()],
        'always own': [chosen.overall if each is None else each for each in own],
    }
    unseen = match_pictures(model, data, 'test')
    print(f'{run}: thresholds {chosen}; always own {own}', flush=True)  # noqa: T201
    return {name: score(unseen, thresholds) for name, thresholds in choices.items()}


def main(folder, epochs, seeds):
    for name, (classes, draw) in PICTURE_SETS.items():
        rows = []
        for seed in seeds:
            data = folder / f'{name}_{seed}'
            run = folder / f'{name}_{seed}_run'
            if not data.is_dir():
                write_pictures(data, classes, draw, seed)
            if not run.is_dir():
                train(data, run, epochs, seed)
            scores = compare(data, run)
            texts = [f'{key} {overall:.3f}, {mean:.3f}' for key, (overall, mean) in scores.items()]
            print(f'{name}, seed {seed}: {"; ".join(texts)}', flush=True)  # noqa: T201
            rows.append(np.array([*scores.values()]))
        means = np.mean(rows, 0).round(3).tolist()
        print(f'{name}, means of F1 over all, over classes: {means}', flush=True)  # noqa: T201


if __name__ == '__main__':
    main(Path(sys.argv[1]), int(sys.argv[2]), [int(seed) for seed in sys.argv[3:]])
