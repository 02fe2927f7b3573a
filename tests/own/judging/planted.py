"""Plant label errors into made datasets, and count how many of them ``mmgcvit mistakes --labels``
finds.

``python -m tests.own.judging.planted FOLDER [SEED ...]`` makes the datasets in ``FOLDER/data``,
trains on them in ``FOLDER/runs``, lists their labels in ``FOLDER/lists``, and prints the figures of
docs/look_at_a_run.md. What is there from an earlier call is used again. It takes hours without a
GPU.

The data are scenes of scanned digits. In each split a twentieth of the objects each is swapped (has
another class), dropped, shifted (by 40 % of its width and height), and added where there is none.
Of class folders a twentieth of the images is in another folder.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from mmgcvit.host.files import write_image
from tools.make_digits import SceneComposer

SHARE = 0.05  # of the objects, for each kind of error
SHIFT = 0.4  # of the width and the height of an object
NUM_SCENES = {'train': 200, 'val': 100}
NUM_SINGLE = {'train': 600, 'val': 300}  # images in class folders
SIDE = 128
CLASSES = [str(digit) for digit in range(10)]
BACKGROUND = 0  # in maps, before the digits
TRIES = 100  # of a place for an added object
NUM_FIRST = 20  # what a user looks at first
MIN_IOU = 0.5  # of a listed box with that of a planted error


@dataclass(frozen=True, eq=False)
class Thing:
    """An object with its mask (height, width)."""

    label: int
    mask: np.ndarray

    @property
    def box(self):
        """[left, top, right, bottom]"""
        rows, columns = self.mask.nonzero()
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return [int(side) for side in box]


@dataclass(frozen=True)
class Planted:
    """A label error. Its boxes are [left, top, right, bottom], or None for a class folder."""

    split: str
    image: str
    kind: str  # swapped, dropped, shifted or added
    given: list[int] | None  # the box of the label with the error, None if it was dropped
    true: list[int] | None  # the box of the object, None if there is none


def draw_other_label(rng, label):
    """Draw a class that is not this one."""
    return int((label + rng.integers(1, len(CLASSES))) % len(CLASSES))


def move(mask, right, down):
    """Move a mask (height, width) by pixels. What leaves the image is cut off."""
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(mask.astype(np.uint8), matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    return moved.astype(bool)


def shift(thing):
    """Shift an object by a share of its sides, towards the centre of the image."""
    left, top, right, bottom = thing.box
    height, width = thing.mask.shape
    x = SHIFT * (right - left) * (1 if left + right < width else -1)
    y = SHIFT * (bottom - top) * (1 if top + bottom < height else -1)
    return replace(thing, mask=move(thing.mask, round(x), round(y)))


def add(rng, things):
    """Copy one of the objects to a free place, with any class. Return None if there is none."""
    thing = things[rng.integers(len(things))]
    occupied = np.any([each.mask for each in things], axis=0)
    occupied = cv2.dilate(occupied.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    left, top, right, bottom = thing.box
    height, width = thing.mask.shape
    for _ in range(TRIES):
        x = int(rng.integers(-left, width - right + 1))
        y = int(rng.integers(-top, height - bottom + 1))
        moved = move(thing.mask, x, y)
        if not occupied[top + y : bottom + y, left + x : right + x].any():
            return Thing(int(rng.integers(len(CLASSES))), moved)
    return None


def plant_in_scenes(rng, scenes, split, names):
    """Plant errors into the objects of scenes: lists of :class:`Thing`.

    Return the new lists, and the errors.
    """
    places = [(scene, index) for scene, things in enumerate(scenes) for index in range(len(things))]
    chosen = rng.permutation(len(places))
    number = max(1, round(SHARE * len(places)))
    kinds = {}
    for position, kind in enumerate(('swapped', 'dropped', 'shifted', 'added')):
        for at in chosen[position * number : (position + 1) * number]:
            kinds[places[at]] = kind
    planted = []
    made = []
    for scene, things in enumerate(scenes):
        kept = []
        number_added = 0
        for index, thing in enumerate(things):
            kind = kinds.get((scene, index))
            given = thing
            if kind == 'swapped':
                given = replace(thing, label=draw_other_label(rng, thing.label))
            elif kind == 'dropped':
                given = None
            elif kind == 'shifted':
                given = shift(thing)
            elif kind == 'added':
                number_added += 1
                kind = None
            if given is not None:
                kept.append(given)
            if kind:
                planted.append(Planted(split, names[scene], kind, given and given.box, thing.box))
        for _ in range(number_added):
            added = add(rng, [*things, *kept])
            if added is not None:
                kept.append(added)
                planted.append(Planted(split, names[scene], 'added', added.box, None))
        made.append(kept)
    return made, planted


def compose(split, seed):
    """Compose scenes of the scans of a split of the demo's data. Return their images (height,
    width, 3) in RGB order, and their objects.
    """
    composer = SceneComposer(split, SIDE)
    composer.rng = np.random.default_rng([seed, NUM_SCENES[split]])
    scenes = [*islice(composer, NUM_SCENES[split])]
    things = [
        [Thing(label, mask) for label, mask in zip(scene.labels, scene.masks, strict=True)]
        for scene in scenes
    ]
    return [scene.image for scene in scenes], things


def make_boxes(folder, seed):
    """Write a dataset in COCO's format. Return the errors."""
    errors = []
    for split in NUM_SCENES:
        images, scenes = compose(split, seed)
        names = [f'{number:04d}.jpg' for number in range(len(images))]
        rng = np.random.default_rng([seed, len(split)])
        scenes, planted = plant_in_scenes(rng, scenes, split, names)
        errors += planted
        content = {'images': [], 'annotations': []}
        content['categories'] = [{'id': id, 'name': name} for id, name in enumerate(CLASSES, 1)]
        for number, (image, things) in enumerate(zip(images, scenes, strict=True)):
            write_image(folder / split / names[number], image[..., ::-1])
            entry = {'id': number, 'file_name': names[number], 'height': SIDE, 'width': SIDE}
            content['images'].append(entry)
            for thing in things:
                left, top, right, bottom = thing.box
                content['annotations'].append(
                    {
                        'id': len(content['annotations']) + 1,
                        'image_id': number,
                        'category_id': thing.label + 1,
                        'bbox': [left, top, right - left, bottom - top],
                        'area': (right - left) * (bottom - top),
                        'iscrowd': 0,
                    }
                )
        path = folder / 'annotations' / f'instances_{split}.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return errors


def make_maps(folder, seed):
    """Write images with segmentation maps. Return the errors."""
    errors = []
    folder.mkdir(parents=True)
    (folder / 'classes.txt').write_text('\n'.join(['background', *CLASSES]))
    for split in NUM_SCENES:
        images, scenes = compose(split, seed)
        names = [f'{number:04d}.jpg' for number in range(len(images))]
        rng = np.random.default_rng([seed, len(split)])
        scenes, planted = plant_in_scenes(rng, scenes, split, names)
        errors += planted
        for name, image, things in zip(names, images, scenes, strict=True):
            write_image(folder / 'images' / split / name, image[..., ::-1])
            labels = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
            for thing in things:
                labels[thing.mask] = thing.label + 1
            write_image(folder / 'masks' / split / name.replace('.jpg', '.png'), labels)
    return errors


def make_classes(folder, seed):
    """Write class folders. Return the errors."""
    errors = []
    for split, number in NUM_SINGLE.items():
        composer = SceneComposer(split, SIDE // 2, seed)
        rng = np.random.default_rng([seed, len(split)])
        scans = composer.scans[:number].tolist()
        swapped = set(rng.permutation(len(scans))[: round(SHARE * len(scans))].tolist())
        for index, scan in enumerate(scans):
            label = composer.digits[scan]
            name = f'{scan:04d}.jpg'
            if index in swapped:
                label = draw_other_label(rng, label)
                errors.append(Planted(split, name, 'swapped', None, None))
            path = folder / split / CLASSES[label] / name
            write_image(path, composer.compose_single(scan)[..., ::-1])
    return errors


MAKERS: dict[str, Callable[[Path, int], list[Planted]]] = {
    'detect': make_boxes,
    'semantic': make_maps,
    'classify': make_classes,
}


def make(folder, task, seed):
    """Write a dataset for a task, and its errors beside it: ``FOLDER.json``."""
    errors = MAKERS[task](folder, seed)
    folder.with_suffix('.json').write_text(json.dumps([asdict(error) for error in errors]))


def read_list(path):
    """Read ``label_errors.csv``: a dict a row, the most likely error first."""
    with path.open(encoding='utf-8-sig', newline='') as file:
        return [*csv.DictReader(file)]


def compute_iou(first, second):
    """Compute the IoU of two boxes [left, top, right, bottom]."""
    left, top = np.maximum(first[:2], second[:2])
    right, bottom = np.minimum(first[2:], second[2:])
    shared = max(0, right - left) * max(0, bottom - top)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def is_listed(error, row):
    """Return whether a row is about a planted error, whatever kind the row says."""
    if (row['split'], Path(row['image']).stem) != (error.split, Path(error.image).stem):
        return False
    if not row['left']:  # an image in a class folder
        return True
    box = [int(row[side]) for side in ('left', 'top', 'right', 'bottom')]
    boxes = [other for other in (error.given, error.true) if other]
    return max(compute_iou(box, other) for other in boxes) >= MIN_IOU


def describe_found(rows, errors, split):
    """Return which of the planted errors of a split are listed, as text."""
    rows = [row for row in rows if row['split'] == split]
    errors = [error for error in errors if error.split == split]
    first = rows[:NUM_FIRST]
    num_right = sum(any(is_listed(error, row) for error in errors) for row in first)
    num_found = sum(any(is_listed(error, row) for row in rows) for error in errors)
    return (
        f'{split}: of the first {len(first)}, {num_right} are errors (at most '
        f'{min(NUM_FIRST, len(errors))}); of {len(errors)} errors, {num_found} are among the '
        f'{len(rows)} listed'
    )


def call(*arguments):
    """Run a command of mmgcvit. Raise a CalledProcessError if it fails."""
    subprocess.run([sys.executable, '-m', 'mmgcvit', *map(str, arguments)], check=True)


def measure(folder, task, seed):
    """Train on data with errors, list the labels, and print what is found."""
    name = f'{task}_{seed}'
    data, run, listed = (folder / each / name for each in ('data', 'runs', 'lists'))
    if not data.exists():
        make(data, task, seed)
    if not run.exists():
        call('train', '--data', data, '--task', task, '--size', 'mini', '--work-dir', run)
    if not listed.exists():
        call('mistakes', run, '--labels', '--out-dir', listed)
    errors = [Planted(**error) for error in json.loads(data.with_suffix('.json').read_text())]
    rows = read_list(listed / 'label_errors.csv')
    for split in ('val', 'train'):
        print(f'{name}, {describe_found(rows, errors, split)}')  # noqa: T201


def main(folder, *seeds):
    for seed in seeds or ['0']:
        for task in MAKERS:
            measure(Path(folder), task, int(seed))


if __name__ == '__main__':
    main(*sys.argv[1:])
