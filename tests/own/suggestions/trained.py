"""Simulate the loop of docs/labelling.md with real trainings: what a model scores after ``suggest`` has
chosen its next pictures, and after chance has.

    python -m tests.own.suggestions.trained FOLDER SET ROUNDS SEED...

labels 20 pictures of a set and trains mini on them. Then, in each of ROUNDS, ``suggest`` or chance
chooses 20 more, and mini is trained on all labelled pictures, starting from the model before. It
prints the scores on pictures that no training has, and, with ROUNDS of at least 1, how many labels
``suggest`` needs for the score that chance has with all. Ground truth stands for the people who label.
Trainings see half as many pictures as by default. What is in FOLDER already is used again.

* digits: pictures of one scanned digit, 0 to 4, in class folders;
* rare_digits: the same, but 3 and 4 have a tenth of the pictures of the pool;
* scenes: one to five digits, 0 to 4, in each picture, with boxes. Here it also prints how many
  objects need no correction.
"""

import csv
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmgcvit import load
from mmgcvit.host.files import write_image
from mmgcvit.own.training.templates import TEMPLATES
from mmgcvit.predict.predictor import Predictor
from mmgcvit.predict.results import Detections
from tools.make_digits import SceneComposer

from ...coco import Content, make_annotation, make_content, make_image
from ...tools.commands import call
from ..judging.scorer import compute_ious

NUM_CLASSES = 5  # digits from 0
CATEGORIES = {str(digit): digit + 1 for digit in range(NUM_CLASSES)}
NUM_LABELLED = 20  # at first, and in each round
MIN_FIRST_OF_CLASS = 2  # in the first pictures, as docs/labelling.md says that they have each class
RARE_SHARE = 0.1
SHARE_OF_DEFAULT = 0.5  # of the pictures that a training sees by default
NUM_VALIDATIONS = 4  # in a training on scenes; the last epoch is validated too
RIGHT_IOU = 0.9  # from which a box needs no correction
NEAR_IOU = 0.5  # from which a box is corrected rather than drawn
AP_50 = 1  # in COCOeval.stats
ORDERS = ('suggest', 'chance')


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture (height, width, 3) uint8 in BGR order, and its objects: of a class folder one, without a
    box.
    """

    name: str
    image: NDArray[np.uint8]
    labels: Sequence[int]
    boxes: Sequence[Sequence[float]]  # [left, top, width, height]


@dataclass(frozen=True)
class PictureSet(ABC):
    """Pictures of digits. Each seed draws others, and no scan is both for training and unseen."""

    task: ClassVar[str]  # the option of train
    num_pool: int  # pictures to label
    num_unseen: int
    side: int  # in pixels

    def draw_pictures(self, split: str, number: int, seed: int) -> list[Picture]:
        """Draw pictures: of train, which people label, or of val, which are unseen."""
        composer = SceneComposer(split, self.side, seed)
        composer.rng = np.random.default_rng([seed, number])
        is_known = [composer.digits[scan] < NUM_CLASSES for scan in composer.scans]
        composer.scans = composer.scans[is_known]
        pictures = self.draw(composer, is_pool=split == 'train')
        return [next(pictures) for _ in range(number)]

    def list_settings(self, epochs: int) -> list[str]:
        """Return settings of the config of a training."""
        return []

    @abstractmethod
    def draw(self, composer: SceneComposer, is_pool: bool) -> Iterator[Picture]:
        """Draw pictures without end."""

    @abstractmethod
    def write(self, folder: Path, pictures: Sequence[Picture]) -> None:
        """Write pictures with their labels."""

    @abstractmethod
    def score(self, model: Predictor, pictures: Sequence[Picture]) -> dict[str, float]:
        """Return scores in unseen pictures, of which the first is compared."""


@dataclass(frozen=True)
class DigitSet(PictureSet):
    """Pictures of single digits. In the unseen ones no class is rare."""

    task: ClassVar[str] = 'classify'
    rare: frozenset[int] = frozenset()  # classes with few pictures in the pool

    def draw(self, composer: SceneComposer, is_pool: bool) -> Iterator[Picture]:
        number = 0
        while True:
            scan = int(composer.rng.choice(composer.scans))
            label = composer.digits[scan]
            is_kept = not is_pool or label not in self.rare or composer.rng.random() < RARE_SHARE
            if is_kept:
                image = composer.compose_single(scan)[..., ::-1]
                yield Picture(f'{number:04d}.png', image, [label], [])
                number += 1

    def write(self, folder: Path, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            write_image(folder / 'train' / str(picture.labels[0]) / picture.name, picture.image)

    def score(self, model: Predictor, pictures: Sequence[Picture]) -> dict[str, float]:
        found = [model(picture.image).class_name for picture in pictures]
        right = [name == str(each.labels[0]) for name, each in zip(found, pictures, strict=True)]
        return {'top-1': float(np.mean(right))}


@dataclass(frozen=True)
class SceneSet(PictureSet):
    """Scenes of digits with boxes."""

    task: ClassVar[str] = 'detect'

    def list_settings(self, epochs: int) -> list[str]:
        # By default each epoch is validated, which takes nearly as long as the training.
        interval = ceil(epochs / NUM_VALIDATIONS)
        return [
            f'train_cfg.val_interval={interval}',
            f'default_hooks.checkpoint.interval={interval}',
        ]

    def draw(self, composer: SceneComposer, is_pool: bool) -> Iterator[Picture]:
        for number, scene in enumerate(composer):
            masks = scene.masks.astype(np.uint8)
            boxes = [[float(side) for side in cv2.boundingRect(mask)] for mask in masks]
            yield Picture(f'{number:04d}.png', scene.image[..., ::-1], scene.labels, boxes)

    def write(self, folder: Path, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            write_image(folder / 'train' / picture.name, picture.image)
        path = folder / 'annotations' / 'instances_train.json'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(self.make_coco(pictures)))

    def make_coco(self, pictures: Sequence[Picture]) -> Content:
        images = []
        annotations = []
        for number, picture in enumerate(pictures):
            images.append(make_image(number, picture.name, self.side, self.side))
            for label, box in zip(picture.labels, picture.boxes, strict=True):
                annotation = make_annotation(
                    len(annotations) + 1, number, label + 1, box, iscrowd=0
                )
                annotations.append(annotation)
        return make_content(images, annotations, CATEGORIES)

    def score(self, model: Predictor, pictures: Sequence[Picture]) -> dict[str, float]:
        candidates = replace(model, score_thr=0.0, class_score_thr={})
        detections = [candidates(picture.image) for picture in pictures]
        kept = [found.apply_thresholds(model.thresholds) for found in detections]
        ap50 = compute_ap50(self.make_coco(pictures), detections)
        return {'AP50': ap50, **count_corrections(kept, pictures)}


def compute_ap50(content: Content, detections: Sequence[Detections]) -> float:
    """Return COCO's AP at an IoU of 0.5."""
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    results = []
    for number, found in enumerate(detections):
        for each in found:
            left, top, right, bottom = map(float, each.box)
            results.append(
                {
                    'image_id': number,
                    'category_id': CATEGORIES[each.class_name],
                    'bbox': [left, top, right - left, bottom - top],
                    'score': each.score,
                }
            )
    evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[AP_50])


def count_corrections(
    detections: Sequence[Detections], pictures: Sequence[Picture]
) -> dict[str, float]:
    """Return how many objects there are, and what a person does with the labels of a model.

    An object needs no correction if a box of its class has an IoU of at least 0.9 with it, and is
    corrected if a box of any class has one of at least 0.5. Others are drawn, and boxes near no object
    are deleted.
    """
    num_objects = num_right = num_near = num_found = 0
    for found, picture in zip(detections, pictures, strict=True):
        edges = [[x, y, x + width, y + height] for x, y, width, height in picture.boxes]
        ious = compute_ious(found.boxes, np.array(edges))
        found_labels = np.array([int(name) for name in found.class_names], int)
        is_same = found_labels[:, None] == np.array(picture.labels)
        num_objects += len(edges)
        num_found += len(found)
        num_right += count_pairs(ious * is_same, RIGHT_IOU)
        num_near += count_pairs(ious, NEAR_IOU)
    return {
        'objects': num_objects,
        'need no correction': num_right,
        'to correct': num_near - num_right,
        'to draw': num_objects - num_near,
        'to delete': num_found - num_near,
    }


def count_pairs(ious: NDArray[np.float64], limit: float) -> int:
    """Return how many pairs have at least this IoU, the best first, each box in one pair."""
    ious = ious.copy()
    number = 0
    while ious.max(initial=0) >= limit:
        row, column = np.unravel_index(ious.argmax(), ious.shape)
        ious[row] = ious[:, column] = 0
        number += 1
    return number


SETS: dict[str, PictureSet] = {
    'digits': DigitSet(num_pool=300, num_unseen=300, side=64),
    'rare_digits': DigitSet(num_pool=300, num_unseen=300, side=64, rare=frozenset({3, 4})),
    'scenes': SceneSet(num_pool=150, num_unseen=100, side=128),
}
NUM_SEEN = {template.option: template.num_seen for template in TEMPLATES.values()}


@dataclass(frozen=True)
class Loop:
    """A loop of labelling, with a folder for each of its trainings."""

    folder: Path
    pictures: PictureSet
    seed: int
    pool: Sequence[Picture]
    unseen: Sequence[Picture]

    def train(self, name: str, labelled: Sequence[int], start: Path | None) -> Path:
        """Train on pictures of the pool, from scratch or from a run. Return the work dir."""
        folder = self.folder / name
        data, run, finished = folder / 'data', folder / 'run', folder / 'finished'
        if not data.exists():
            self.pictures.write(data, [self.pool[index] for index in labelled])
        if not finished.exists():
            num_seen = SHARE_OF_DEFAULT * NUM_SEEN[self.pictures.task]
            epochs = ceil(num_seen / len(labelled))
            options = ['--epochs', epochs, '--work-dir', run]
            options += ['--start', start] if start else []
            options += ['--overwrite'] if run.exists() else []
            options += ['--cfg-options', f'randomness.seed={self.seed}']
            options += self.pictures.list_settings(epochs)
            words = ['--data', data, '--task', self.pictures.task, '--size', 'mini']
            words += ['--device', 'cpu', '--workers', 0]
            call('', '-m', 'mmgcvit', 'train', *words, *options)
            finished.touch()
        return run

    def score(self, name: str, run: Path) -> dict[str, float]:
        """Return the scores of a run in the unseen pictures."""
        file = self.folder / name / 'scores.json'
        if not file.exists():
            scores = self.pictures.score(load(run, device='cpu'), self.unseen)
            file.write_text(json.dumps(scores))
        return json.loads(file.read_text())

    def choose_first(self) -> list[int]:
        """Draw the pictures that are labelled first, until each class is in some of them."""
        draw = np.random.default_rng(self.seed)
        while True:
            chosen = draw.choice(len(self.pool), NUM_LABELLED, replace=False).tolist()
            counts = np.zeros(NUM_CLASSES, int)
            for index in chosen:
                counts[[*set(self.pool[index].labels)]] += 1
            if counts.min() >= MIN_FIRST_OF_CLASS:
                return chosen

    def rank(self, order: str, name: str, run: Path, labelled: Sequence[int]) -> list[int]:
        """Return the pictures of the pool that are not labelled, the next one first."""
        left = [index for index in range(len(self.pool)) if index not in labelled]
        if order == 'chance':
            return np.random.default_rng([self.seed, len(labelled)]).permutation(left).tolist()
        folder = self.folder / name
        pictures, ranked = folder / 'unlabelled', folder / 'ranked'
        if not ranked.exists():
            for index in left:
                write_image(pictures / self.pool[index].name, self.pool[index].image)
            command = ['suggest', run, pictures, '--device', 'cpu', '--out-dir', ranked]
            call('', '-m', 'mmgcvit', *command)
        with (ranked / 'suggestions.csv').open(encoding='utf-8-sig', newline='') as file:
            return [int(Path(row['file_name']).stem) for row in csv.DictReader(file)]

    def run(self, num_rounds: int) -> dict[str, list[float]]:
        """Label and train, print all scores, and return those that are compared, by order."""
        first = self.choose_first()
        first_run = self.train('first', first, None)
        first_score = self.report('first', first_run, first)
        curves = {order: [first_score] for order in ORDERS}
        for order in ORDERS:
            name, run, labelled = 'first', first_run, first
            for number in range(1, num_rounds + 1):
                chosen = self.rank(order, name, run, labelled)[:NUM_LABELLED]
                labelled = [*labelled, *chosen]
                name = f'{order}_{number}'
                run = self.train(name, labelled, run)
                curves[order].append(self.report(name, run, labelled))
        return curves

    def report(self, name: str, run: Path, labelled: Sequence[int]) -> float:
        """Print the scores of a run, and return the one that is compared."""
        scores = self.score(name, run)
        labels = [label for index in labelled for label in self.pool[index].labels]
        by_class = np.bincount(labels, minlength=NUM_CLASSES).tolist()
        text = ', '.join(f'{key} {value:.4g}' for key, value in scores.items())
        print(  # noqa: T201
            f'{self.folder.name}, {name}, {len(labelled)} labelled, objects {by_class}: {text}',
            flush=True,
        )
        return next(iter(scores.values()))


def count_labels(scores: Sequence[float], goal: float) -> str:
    """Return how many labels a score needs, in straight lines between the rounds."""
    numbers = [NUM_LABELLED * round_number for round_number in range(1, len(scores) + 1)]
    for index in range(1, len(scores)):
        low, high = scores[index - 1 : index + 1]
        if low < goal <= high:
            part = (goal - low) / (high - low)
            return f'{numbers[index - 1] + part * NUM_LABELLED:.0f}'
    return f'over {numbers[-1]}'


def main(folder: str, name: str, num_rounds: int, seeds: Sequence[int]) -> None:
    pictures = SETS[name]
    curves = {order: [] for order in ORDERS}
    for seed in seeds:
        pool = pictures.draw_pictures('train', pictures.num_pool, seed)
        unseen = pictures.draw_pictures('val', pictures.num_unseen, seed)
        loop = Loop(Path(folder) / f'{name}_{seed}', pictures, seed, pool, unseen)
        for order, scores in loop.run(num_rounds).items():
            curves[order].append(scores)
    means = {order: np.mean(scores, 0).tolist() for order, scores in curves.items()}
    goal = means['chance'][-1]
    for order, scores in means.items():
        text = ', '.join(f'{score:.3f}' for score in scores)
        labels = count_labels(scores, goal)
        print(f'{name}, {order}: {text}; {goal:.3f} needs {labels} labels')  # noqa: T201


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(seed) for seed in sys.argv[4:]])
