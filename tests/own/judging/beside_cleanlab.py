"""Compare the label errors that ``mmgcvit mistakes --labels`` lists with those that cleanlab finds in
the same predictions.

``python -m tests.own.judging.beside_cleanlab SEED ...`` plants errors (``planted.py``) into validation
images of the demo's digits, predicts them with the demo's models, which were trained on labels
without errors, and prints the figures of docs/look_at_a_run.md. It needs cleanlab 2.9 (and NumPy
under 2.4), which is not in the project's environment: ``pip install cleanlab``.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from cleanlab import filter as class_filter
from cleanlab.object_detection import rank as object_rank
from cleanlab.segmentation import filter as map_filter
from mmengine.dataset import pseudo_collate

from mmgcvit import load
from mmgcvit.own.judging.evaluations import EVALUATION_BY_TASK
from mmgcvit.own.judging.suspects import LikelihoodRule
from mmgcvit.predict.results import Classification, Detections, make_segmentation
from tools.make_digits import SceneComposer

from .planted import (
    BACKGROUND,
    CLASSES,
    MIN_IOU,
    NUM_FIRST,
    NUM_SINGLE,
    SHARE,
    SIDE,
    Planted,
    compose,
    compute_iou,
    draw_other_label,
    plant_in_scenes,
)

SPLIT = 'val'


class Listed(NamedTuple):
    """What a list says: an image, and the box [left, top, right, bottom] or None for all of it."""

    image: str
    box: Sequence[float] | None


def predict_all(model: Any, images: Sequence[np.ndarray]) -> list[Any]:
    """Predict images (height, width, 3) in RGB order, with detections of any score."""
    candidates = replace(model, score_thr=0.0, class_score_thr={})
    return [candidates(image[..., ::-1]) for image in images]


def list_suspects(model: Any, names: Sequence[str], truths: Any, found: Any) -> list[Listed]:
    """List what ``mistakes --labels`` lists, in its order."""
    evaluation = EVALUATION_BY_TASK[model.task]
    images = [
        evaluation.find_suspects(truth, prediction, model)
        for truth, prediction in zip(truths, found, strict=True)
    ]
    rule = LikelihoodRule(images, len(model.classes))
    rows = [
        (rule.compute(suspect), Listed(name, suspect.given_box or suspect.found_box))
        for name, image in zip(names, images, strict=True)
        for suspect in image.suspects
    ]
    return [listed for _, listed in sorted(rows, key=lambda row: -row[0])]


class Count(NamedTuple):
    """How many of the planted errors a list has."""

    first: int  # rows about an error among the first 20
    found: int  # errors in all rows
    rows: int
    errors: int

    def __str__(self) -> str:
        return (
            f'{self.first} of the first {min(NUM_FIRST, self.rows)} are errors; {self.found} of '
            f'{self.errors} errors are in {self.rows} rows'
        )


class Comparison(NamedTuple):
    """The lists of this project and of cleanlab, for the same predictions."""

    ours: Count
    cleanlab: Count


def count(listed: Sequence[Listed], errors: Sequence[Planted]) -> Count:
    hits = [{index for index, error in enumerate(errors) if is_about(row, error)} for row in listed]
    first = sum(map(bool, hits[:NUM_FIRST]))
    return Count(first, len(set().union(*hits)), len(listed), len(errors))


def is_about(row: Listed, error: Planted) -> bool:
    """Return whether a row is about a planted error, whatever kind it says."""
    boxes = [box for box in (error.given, error.true) if box]
    if row.image != error.image:
        return False
    return (
        not boxes or row.box is None or max(compute_iou(row.box, box) for box in boxes) >= MIN_IOU
    )


def compare_classes(seed: int) -> Comparison:
    """Swap the labels of a twentieth of single digits."""
    model = load('configs/demo/gcvit_digits_cls.py', device='cpu')
    composer = SceneComposer(SPLIT, SIDE // 2)
    scans = composer.scans[: NUM_SINGLE[SPLIT]].tolist()
    images = [composer.compose_single(scan) for scan in scans]
    rng = np.random.default_rng(seed)
    labels = np.array([composer.digits[scan] for scan in scans])
    swapped = rng.permutation(len(scans))[: round(SHARE * len(scans))].tolist()
    labels[swapped] = [draw_other_label(rng, label) for label in labels[swapped].tolist()]
    names = [f'{scan}' for scan in scans]
    errors = [Planted(SPLIT, names[index], 'swapped', None, None) for index in swapped]
    found = predict_all(model, images)
    one_hot = np.eye(len(CLASSES), dtype=np.float32)
    truths = [Classification(label, CLASSES[label], 1.0, one_hot[label]) for label in labels]
    ours = list_suspects(model, names, truths, found)
    scores = np.array([each.scores for each in found], float)
    scores /= scores.sum(1, keepdims=True)
    issues = class_filter.find_label_issues(
        labels, scores, return_indices_ranked_by='normalized_margin'
    )
    listed = [Listed(names[index], None) for index in issues]
    return Comparison(count(ours, errors), count(listed, errors))


def compare_boxes(seed: int) -> Comparison:
    """Compare lists of objects. That of cleanlab has the lowest of its three scores of boxes, in as
    many rows as ours: its own list has images.
    """
    model = load('configs/demo/mask_rcnn_gcvit_digits.py', device='cpu')
    images, scenes = compose(SPLIT, 0)
    names = [f'{number:04d}' for number in range(len(images))]
    scenes, errors = plant_in_scenes(np.random.default_rng(seed), scenes, SPLIT, names)
    found = [replace(each, masks=None) for each in predict_all(model, images)]
    truths = []
    for things in scenes:
        truths.append(
            Detections(
                boxes=np.array([thing.box for thing in things], np.float32).reshape(-1, 4),
                scores=np.ones(len(things), np.float32),
                labels=np.array([thing.label for thing in things], np.int64),
                classes=CLASSES,
            )
        )
    ours = list_suspects(model, names, truths, found)
    labels = [{'bboxes': each.boxes.astype(float), 'labels': each.labels} for each in truths]
    predictions = [split_by_class(each) for each in found]
    given = [each['bboxes'] for each in labels]
    inputs = {'labels': labels, 'predictions': predictions}
    rows = []
    for scores, boxes in (
        (object_rank.compute_overlooked_box_scores(**inputs), map(np.vstack, predictions)),
        (object_rank.compute_badloc_box_scores(**inputs), given),
        (object_rank.compute_swap_box_scores(**inputs), given),
    ):
        for name, values, places in zip(names, scores, boxes, strict=True):
            scored = zip(values, places, strict=True)
            rows += [(value, name, box[:4]) for value, box in scored if not np.isnan(value)]
    rows.sort(key=lambda row: row[0])
    listed = [Listed(name, box) for _, name, box in rows][: len(ours)]
    return Comparison(count(ours, errors), count(listed, errors))


def split_by_class(found: Detections) -> np.ndarray:
    """Return what cleanlab calls predictions: boxes with scores (n, 5) for each class."""
    rows = np.concatenate([found.boxes, found.scores[:, None]], 1).astype(float)
    made = np.empty(len(CLASSES), object)
    for label in range(len(CLASSES)):
        made[label] = rows[found.labels == label]
    return made


def predict_pixels(model: Any, image: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes in each pixel, (classes, height, width)."""
    batch = pseudo_collate([model.prepare_image(image[..., ::-1].copy())])
    with torch.no_grad():
        (sample,) = model.network.test_step(batch)
    return sample.seg_logits.data.float().softmax(0).numpy()


def compare_maps(seed: int) -> Comparison:
    """Compare lists of regions. cleanlab finds pixels; its regions are those connected, the largest
    first.
    """
    model = load('configs/demo/upernet_gcvit_digits.py', device='cpu')
    images, scenes = compose(SPLIT, 0)
    names = [f'{number:04d}' for number in range(len(images))]
    scenes, errors = plant_in_scenes(np.random.default_rng(seed), scenes, SPLIT, names)
    maps = np.full((len(images), SIDE, SIDE), BACKGROUND)
    for label_map, things in zip(maps, scenes, strict=True):
        for thing in things:
            label_map[thing.mask] = thing.label + 1
    scores = [predict_pixels(model, image) for image in images]
    found = [make_segmentation(each.argmax(0), model.classes) for each in scores]
    truths = [make_segmentation(each, model.classes) for each in maps]
    ours = list_suspects(model, names, truths, found)
    issues = map_filter.find_label_issues(maps, np.array(scores), n_jobs=1, verbose=False)
    regions = []
    for name, mask in zip(names, issues, strict=True):
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        for left, top, width, height, area in stats[1:].tolist():
            regions.append((area, Listed(name, [left, top, left + width, top + height])))
    regions.sort(key=lambda region: -region[0])
    listed = [each for _, each in regions]
    return Comparison(count(ours, errors), count(listed, errors))


COMPARISONS = {'classes': compare_classes, 'boxes': compare_boxes, 'maps': compare_maps}


def main(*seeds: str) -> None:
    for name, compare in COMPARISONS.items():
        for seed in map(int, seeds):
            found = compare(seed)
            print(f'{name}, seed {seed}, ours: {found.ours}')  # noqa: T201
            print(f'{name}, seed {seed}, cleanlab: {found.cleanlab}')  # noqa: T201


if __name__ == '__main__':
    main(*sys.argv[1:])
