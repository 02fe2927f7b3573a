"""What is true of an image, as the hosts load it, and how well a prediction fits it: a score, words, counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.registry import DATASETS

from ..datasets.checks.loading import loads
from ..datasets.checks.sources import leaf_datasets, steps_of, type_name
from ..errors import UserError, first_line
from ..hosts.mmengine import building_in
from ..inference import Classification, Detections, Prediction, Predictor, Segmentation
from ..inference.images import from_array, read_image
from ..inference.loading import LOADING, quiet_hosts

# By the scope of a config: what kind of data it has; and what packs that.
KINDS = {'mmdet': 'coco', 'mmseg': 'ade20k', 'mmpretrain': 'imagenet'}
PACKED_BY = {'coco': 'PackDetInputs', 'ade20k': 'PackSegInputs', 'imagenet': 'PackInputs'}
# So many kinds of mistakes are named of an image.
NAMED = 3
# Boxes of one object overlap by this IoU at least.
SAME_OBJECT = 0.5
# What scores are called, by the task of a model.
SCORES = {
    'detection': 'F1 of the objects',
    'segmentation': 'mean IoU of its classes',
    'classification': 'score of the true class',
}
BACKGROUND = 'background'
COUNTED = {'segmentation': 'pixels', 'classification': 'images'}


class Confused(NamedTuple):
    """A class and what it is taken for, by their names."""

    truth: str
    predicted: str
    count: int
    share: float  # of all that is true of the class


class Confusion:
    """A confusion matrix; ``counted`` are ``'images'``, ``'pixels'`` or ``'objects'``."""

    def __init__(self, names: Sequence[str], counted: str) -> None:
        self.names = list(names)  # of rows and columns alike
        self.counted = counted
        # (n, n); rows are what is true, columns what is predicted.
        self.counts = np.zeros((len(names), len(names)), np.int64)

    def add(self, truths: np.ndarray, predicted: np.ndarray) -> None:
        """Count pairs of a row and a column: two (k,) whole numbers from 0."""
        size = len(self.names)
        pairs = truths.astype(np.int64) * size + predicted
        self.counts += np.bincount(pairs, minlength=size * size).reshape(size, size)

    @property
    def shares(self) -> np.ndarray:
        """(n, n) float64: each row by its sum; rows in which nothing is counted are 0."""
        return self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)

    @property
    def right(self) -> float:
        """The share of all counts that are on the diagonal; 0 where nothing is counted."""
        return float(np.trace(self.counts) / max(self.counts.sum(), 1))

    def most_confused(self, number: int) -> list[Confused]:
        """The pairs of different classes with the highest counts, those first; of equal counts the higher share."""
        counts, shares = self.counts.copy(), self.shares
        np.fill_diagonal(counts, 0)
        rows, columns = np.nonzero(counts)
        order = np.lexsort((columns, rows, -shares[rows, columns], -counts[rows, columns]))[:number]
        return [
            Confused(self.names[row], self.names[column], int(counts[row, column]), float(shares[row, column]))
            for row, column in zip(rows[order], columns[order], strict=True)
        ]


def empty_confusion(task: str, classes: Sequence[str]) -> Confusion:
    """A matrix for what models of a task take for what, in which nothing is counted yet.

    For objects it has a last row for what is there and no object, and a last column for objects that are not found.
    """
    if task in COUNTED:
        return Confusion(classes, COUNTED[task])
    return Confusion([*classes, BACKGROUND if BACKGROUND not in classes else f'{BACKGROUND} (none)'], 'objects')


@dataclass(frozen=True)
class TrueDetections(Detections):
    """The objects that are in an image, with scores of 1."""

    # (m, 4) float32, boxes in which nothing counts: of crowds, and of what is marked to be ignored.
    crowds: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


# What makes the image that is seen, which stays as it is.
SEEN = (LOADING, 'MatchAnnotatedSize')


class Truths:
    """A data set's images and what is true of them; files are decoded as the model has them decoded."""

    def __init__(self, dataset: Any, settings: ConfigDict, model: Predictor) -> None:
        self.dataset = dataset
        self.model = model
        steps = loading_steps(next(leaf_datasets(settings)), KINDS[model.scope])
        with building_in(model.scope):
            self.annotations = Compose([step for step in steps if type_name(step) not in SEEN])

    def __len__(self) -> int:
        return len(self.dataset)

    def info(self, number: int) -> dict[str, Any]:
        """What the host's data set says of an image; ``'img_path'`` is its file, or what stands for its name."""
        info = self.dataset.get_data_info(number)
        return {**info, 'img_path': info.get('img_path') or f'{number:06d}.png'}

    def image(self, info: dict[str, Any]) -> np.ndarray:
        """An image (height, width, 3) uint8, blue, green, red."""
        # CIFAR's files hold arrays, red, green, blue.
        return from_array(info['img'][..., ::-1]) if 'img' in info else read_image(info['img_path'], self.model.loader)

    def truth(self, info: dict[str, Any], image: np.ndarray) -> Prediction:
        """What is true of an image, in the form in which models predict."""
        size = image.shape[:2]
        try:
            sample = self.annotations({**info, 'img': image, 'ori_shape': size, 'img_shape': size})['data_samples']
            return truth_of(sample, self.model.classes)
        except UserError:
            raise
        # What hosts raise on damaged files and annotations.
        except Exception as error:
            raise UserError(f'what is true of it cannot be loaded: {first_line(error)}') from None


def loading_steps(settings: ConfigDict, kind: str) -> list[dict[str, Any]]:
    """A pipeline that loads as a data set's own does, and does nothing else."""
    pipeline = [step for step in steps_of(settings) if loads(step)]
    if kind != 'imagenet' and not any('LoadAnnotations' in str(step['type']) for step in pipeline):
        pipeline.append({'type': 'LoadAnnotations', **({'with_bbox': True} if kind == 'coco' else {})})
    return [*pipeline, {'type': PACKED_BY[kind]}]


def truth_of(sample: Any, classes: Sequence[str]) -> Prediction:
    """What a host's data sample says is true of its image; pixels that are not labelled have a number of no class."""

    def names(labels: np.ndarray) -> list[str]:
        return [classes[label] if label < len(classes) else f'class {label}' for label in labels]

    if 'gt_instances' in sample:
        objects = sample.gt_instances
        labels = objects.labels.numpy()
        masks = objects.masks.to_ndarray().astype(bool) if 'masks' in objects else None
        boxes, crowds = (
            getattr(each.bboxes, 'tensor', each.bboxes).numpy() for each in (objects, sample.ignored_instances)
        )
        return TrueDetections(boxes, np.ones(len(boxes), np.float32), labels, names(labels), masks, crowds=crowds)
    if 'gt_sem_seg' in sample:
        label_map = sample.gt_sem_seg.data[0].numpy()
        labels, areas = np.unique(label_map[label_map < len(classes)], return_counts=True)
        return Segmentation(label_map, labels, names(labels), areas)
    labels = sample.gt_label.numpy()
    if len(labels) != 1:
        raise UserError(f'it is of {len(labels)} classes; mistakes are counted for images of one class each')
    return Classification(int(labels[0]), names(labels)[0], 1.0, np.eye(len(classes), dtype=np.float32)[labels[0]])


def truths_of(cfg: Config, loader: str, model: Predictor) -> Truths:
    """What is true of the data set of a loader of a whole config, whose model it is."""
    settings = (cfg.get(loader) or {}).get('dataset')
    if not settings:
        raise UserError(f'the config has no {loader} with a data set')
    try:
        with quiet_hosts(), building_in(model.scope):
            dataset = DATASETS.build(settings)
    # Whatever the hosts find wrong with a list or an annotation file.
    except Exception as error:
        raise UserError(
            f"the data set of {loader} cannot be loaded: {first_line(error)}; 'mmgcvit check-data CONFIG' looks at it"
        ) from None
    names = dataset.metainfo.get('classes')
    if names and len(names) != len(model.classes):
        raise UserError(
            f'the data set has {len(names)} classes, the model {len(model.classes)}: name the config that this '
            'checkpoint was trained with'
        )
    return Truths(dataset, settings, model)


class Verdict(NamedTuple):
    """What is said of a prediction."""

    score: float  # from 0 to 1, the higher the better; see SCORES
    mistakes: int  # in the matrix's counts: of images of one score, those with more are worse
    why: str  # what is wrong, in words


@singledispatch
def judge(truth: Prediction, found: Prediction, confusion: Confusion) -> Verdict:
    """Compare a prediction with the truth, and count what is taken for what.

    * Of objects the F1 score, 2 TP / (2 TP + FP + FN), at an IoU of 0.5: of those that are found with the score that
      the model has as its threshold. 1 where nothing is there and nothing is found.
    * Of pixels the mean IoU of the classes that are there or found; 1 where no pixel is labelled.
    * Of a class of an image the score of the true one.
    """
    raise TypeError(f'{type(truth).__name__} is no prediction')


@judge.register
def judge_objects(truth: TrueDetections, found: Detections, confusion: Confusion) -> Verdict:
    none = len(confusion.names) - 1
    pairs, missed, false = match(found, truth)
    rows = np.concatenate([truth.labels[pairs[:, 0]], truth.labels[missed], np.full(len(false), none)])
    columns = np.concatenate([found.labels[pairs[:, 1]], np.full(len(missed), none), found.labels[false]])
    confusion.add(rows, columns)
    wrong = rows != columns
    right = int((~wrong).sum())
    total = len(truth) + len(pairs) + len(false)
    kinds = Counter(zip(rows[wrong].tolist(), columns[wrong].tolist(), strict=True))
    names = confusion.names
    words = [f'{right} of {len(truth)} found']
    for (row, column), count in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:NAMED]:
        if column == none:
            words.append(f'missed {count} × {names[row]}')
        elif row == none:
            words.append(f'{count} × {names[column]} where none is')
        else:
            words.append(f'{count} × {names[row]} taken for {names[column]}')
    return Verdict(2 * right / total if total else 1.0, int(wrong.sum()), '; '.join(words))


@judge.register
def judge_pixels(truth: Segmentation, found: Segmentation, confusion: Confusion) -> Verdict:
    if truth.label_map.shape != found.label_map.shape:
        raise UserError(f'it is predicted with shape {found.label_map.shape}, labelled with {truth.label_map.shape}')
    labelled = truth.label_map < len(confusion.names)
    ours = Confusion(confusion.names, confusion.counted)
    ours.add(truth.label_map[labelled], found.label_map[labelled])
    confusion.counts += ours.counts
    total = int(ours.counts.sum())
    if not total:
        return Verdict(1.0, 0, 'no pixel of it is labelled')
    both = np.diag(ours.counts)
    union = ours.counts.sum(0) + ours.counts.sum(1) - both
    score = float((both[union > 0] / union[union > 0]).mean())
    words = [f'{ours.right:.0%} of the pixels right']
    for pair in ours.most_confused(NAMED):
        words.append(f'{pair.count / total:.1%} {pair.truth} taken for {pair.predicted}')
    return Verdict(score, total - int(both.sum()), '; '.join(words))


@judge.register
def judge_class(truth: Classification, found: Classification, confusion: Confusion) -> Verdict:
    confusion.add(np.array([truth.label]), np.array([found.label]))
    score = float(found.scores[truth.label])
    if truth.label == found.label:
        return Verdict(score, 0, f'{truth.class_name} seen as such, with {score:.2f}')
    return Verdict(score, 1, f'{truth.class_name} taken for {found.class_name}, {score:.2f} against {found.score:.2f}')


def match(found: Detections, truth: TrueDetections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match objects one to one: of a class first, then those left over of any, the surest first.

    Gives numbers: (k, 2) of one that is there and one that is found; of those that are there and not found; and of
    those found and not there, second boxes of one object among them, without those in a crowd. So a row of the
    confusion matrix sums to what is there: mmdet's own counts an object once for every box that overlaps it, and a box
    once for every object.
    """
    overlaps = iou_of(found.boxes, truth.boxes)
    free_truths, free_found = np.ones(len(truth), bool), np.ones(len(found), bool)
    order = np.argsort(-found.scores, kind='stable')
    pairs = []
    for allowed in (found.labels[:, None] == truth.labels[None, :], np.ones_like(overlaps, bool)):
        for number in order[free_found[order]]:
            fitting = np.where(allowed[number] & free_truths, overlaps[number], -1.0)
            best = int(fitting.argmax()) if len(fitting) else -1
            if best >= 0 and fitting[best] >= SAME_OBJECT:
                pairs.append((best, number))
                free_truths[best] = free_found[number] = False
    in_crowd = (iou_of(found.boxes, truth.crowds, mode='iof') >= SAME_OBJECT).any(1)
    pairs = np.array(pairs, np.int64).reshape(-1, 2)
    return pairs, np.flatnonzero(free_truths), np.flatnonzero(free_found & ~in_crowd)


def iou_of(boxes: np.ndarray, others: np.ndarray, mode: str = 'iou') -> np.ndarray:
    """(n, m) overlaps of (n, 4) and (m, 4) boxes; mode 'iof' divides by the first boxes' own areas, as COCO does."""
    from mmdet.evaluation import bbox_overlaps

    return bbox_overlaps(boxes, others, mode=mode).reshape(len(boxes), len(others))
