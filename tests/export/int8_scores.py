"""What 8 bits cost on the digits: python -m tests.export.int8_scores FLOAT32.onnx INT8.onnx --digits FOLDER.

For the figures of docs/deploy.md, outside of the tests: accuracy of a classifier on the validation images, mean IoU of
a segmentor, or COCO's mAP of a detector's boxes and masks, on the validation scenes, through
:class:`mmgcvit.export.runner.Runner`; sizes of the files; and how long an image takes, the files in turns.
"""

import argparse
import contextlib
import io
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from sklearn.metrics import jaccard_score

from mmgcvit.export.runner import Runner
from mmgcvit.inference.results import Detections, records_of

CROPS, SCENES = 'imagenet/val/*/*.jpg', 'ADEChallengeData2016/images/validation'
ANNOTATIONS = 'ADEChallengeData2016/annotations/validation'


def main() -> None:
    parser = argparse.ArgumentParser(description='Scores, sizes and times of files of ONNX of one model.')
    parser.add_argument('files', metavar='FILE.onnx', nargs='+', type=Path, help='float32, then those in 8 bits')
    parser.add_argument('--digits', type=Path, required=True, help='the folder of mmgcvit digits')
    parser.add_argument('--timed', type=int, default=40, help='on how many images they are timed (default: 40)')
    args = parser.parse_args()
    runners = [Runner(path, score_thr=0.0) for path in args.files]
    pattern, scores_of = TASKS[runners[0].task]
    images = sorted(args.digits.glob(pattern))
    ratios = speed_ratios(runners, [cv2.imread(str(image)) for image in images[: args.timed]])
    console = Console(highlight=False, soft_wrap=True)
    for path, runner, ratio in zip(args.files, runners, ratios, strict=True):
        size = path.stat().st_size / 1e6
        console.print(f'{path.name}: {size:.2f} MB, {scores_of(runner, args.digits)}, speed {ratio:.2f}')


def accuracy(runner: Runner, digits: Path) -> str:
    """The share of the classifier's validation images that are classed rightly."""
    images = sorted(digits.glob(CROPS))
    right = sum(runner(image).class_name == image.parent.name for image in images)
    return f'{right} of {len(images)} right ({100 * right / len(images):.2f} %)'


def mean_iou(runner: Runner, digits: Path) -> str:
    """The mean over the classes of intersection over union of pixels, counted over all validation scenes."""
    found, truth = [], []
    for image in sorted(digits.glob(f'{SCENES}/*.jpg')):
        labels = cv2.imread(str(digits / ANNOTATIONS / f'{image.stem}.png'), cv2.IMREAD_GRAYSCALE)
        # Classes count from 1 there, and 0 is no class.
        found.append(runner(image).label_map[labels > 0])
        truth.append(labels[labels > 0] - 1)
    return f'mIoU {100 * jaccard_score(np.concatenate(truth), np.concatenate(found), average="macro"):.2f}'


def average_precisions(runner: Runner, digits: Path) -> str:
    """COCO's mAP (0.50 to 0.95) of boxes and of masks on the validation scenes."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(digits / 'coco/annotations/instances_val2017.json'))
        by_name = {category['name']: category for category in truth.dataset['categories']}
        categories = [by_name[name] for name in runner.classes]
        found = []
        for image in truth.dataset['images']:
            objects = Detections(**vars(runner(digits / 'coco/val2017' / image['file_name'])))
            found += [{'image_id': image['id'], **record} for record in records_of(objects, categories)]
        results = truth.loadRes(found)
        scores = {kind: average_precision(truth, results, kind) for kind in ('bbox', 'segm')}
    return ', '.join(f'{kind} mAP {100 * score:.2f}' for kind, score in scores.items())


def average_precision(truth: COCO, results: COCO, kind: str) -> float:
    """mAP of boxes (``'bbox'``) or masks (``'segm'``)."""
    evaluation = COCOeval(truth, results, kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


def speed_ratios(runners: list[Runner], images: list[np.ndarray]) -> list[float]:
    """How many times as fast as the first each is: medians of the ratios on single images.

    They take turns, since the machine's load changes. Only the network's time, without preparing the image.
    """
    ratios = [[] for _ in runners]
    for image in images:
        seconds = [seconds_of(runner, image) for runner in runners]
        for found, each in zip(ratios, seconds, strict=True):
            found.append(seconds[0] / each)
    return [statistics.median(found) for found in ratios]


def seconds_of(runner: Runner, image: np.ndarray) -> float:
    inputs = {'images': runner.normalised(runner.prepared(image))}
    begin = time.perf_counter()
    runner.session.run(None, inputs)
    return time.perf_counter() - begin


# Which images each task is timed on, and its scores.
TASKS = {
    'classification': (CROPS, accuracy),
    'segmentation': (f'{SCENES}/*.jpg', mean_iou),
    'detection': ('coco/val2017/*.jpg', average_precisions),
}

if __name__ == '__main__':
    main()
