"""Simulated validation sets whose true scores are known.

``python -m tests.own.judging.simulated`` prints how often the verdict 'good' is wrong and how often
it is withheld, the figures of docs/look_at_a_run.md, in a few minutes. ``python -m
tests.own.judging.simulated thresholds`` prints what own thresholds change on unseen images, the figures
of docs/custom_dataset.md.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np

from mmgcvit.own.judging.choosing import MIN_OBJECTS, choose_thresholds, compute_f1_scores
from mmgcvit.own.judging.detection import score_detected_class
from mmgcvit.own.judging.detection_curves import (
    AveragePrecision,
    DetectionCurves,
    collect_matches,
    make_curve,
)
from mmgcvit.own.judging.intervals import ImageCounts
from mmgcvit.own.judging.verdict import GOOD, ClassScore, format_verdict
from mmgcvit.predict.thresholds import ScoreThresholds

NUM_UNSEEN = 500  # images in which the true score is measured
NUM_COMPARED = 200  # images in which thresholds are compared
NUM_CHECKPOINTS = 10  # of one quality, of which the best is chosen on the validation images


@dataclass(frozen=True)
class Quality:
    """How well a detector finds a class."""

    found: float  # mean share of an image's objects that have a detection
    spread: float  # how much images differ: 1 / the concentration of a beta distribution
    num_false: float  # mean number of false detections in an image
    logit: float  # mean logit of the scores of right detections, whose deviation is 1
    margin: float  # mean difference to the logits of false detections


def draw_quality(rng):
    return Quality(
        found=rng.uniform(0.6, 1),
        spread=rng.uniform(0.02, 0.5),
        num_false=rng.uniform(0, 3),
        logit=rng.uniform(-1, 2),
        margin=rng.uniform(1.5, 4),
    )


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def draw_images(rng, quality, num_images):
    """Draw the matches of pycocotools in images, each with one to about six objects."""
    concentration = 1 / quality.spread
    shares = rng.beta(
        quality.found * concentration + 1e-9, (1 - quality.found) * concentration + 1e-9, num_images
    )
    images = []
    for share in shares:
        num_objects = 1 + rng.poisson(1.5)
        num_found = rng.binomial(num_objects, share)
        num_false = rng.poisson(quality.num_false)
        logits = quality.logit + rng.normal(size=num_found + num_false)
        logits[num_found:] -= quality.margin
        is_found = np.arange(len(logits)) < num_found
        images.append(
            {
                'dtScores': sigmoid(logits),
                'dtMatches': is_found[None],
                'dtIgnore': np.zeros((1, len(logits)), bool),
                'gtIgnore': np.zeros(num_objects),
            }
        )
    return images


def make_curves(images_by_class):
    """Make a detector's curves of images of each class, as pycocotools would. Classes of fewer
    images are in the first images.
    """
    num_images = max(map(len, images_by_class))
    images_by_class = [
        [*images, *[None] * (num_images - len(images))] for images in images_by_class
    ]
    together = [image for images in images_by_class for image in images]
    return DetectionCurves(
        overall=make_curve(together),
        by_class=[make_curve(images) for images in images_by_class],
        matches=[collect_matches(images) for images in images_by_class],
        boxes=AveragePrecision(np.empty(0), np.empty(0)),  # which no threshold depends on
        masks=None,
    )


def draw_classes(rng, num_classes):
    return [draw_quality(rng) for _ in range(num_classes)]


def judge_detector(rng, qualities, num_images, num_checkpoints=1):
    """Return the scores of the classes at the chosen thresholds, and the true ones."""
    names = [f'class {label}' for label in range(len(qualities))]
    candidates = []
    for _ in range(num_checkpoints):
        images = [draw_images(rng, quality, num_images) for quality in qualities]
        curves = make_curves(images)
        candidates.append((curves.overall.f1.max(initial=0), len(candidates), curves))
    curves = max(candidates, key=lambda each: each[:2])[2]
    chosen = choose_thresholds(curves, names) or ScoreThresholds(0.5)
    by_class = chosen.list_by_class(names)
    scores = []
    true_scores = []
    for label, name in enumerate(names):
        scores.append(
            score_detected_class(
                name=name,
                curve=curves.by_class[label],
                matches=curves.matches[label],
                threshold=by_class[label],
                num_images=num_images,
            )
        )
        unseen = make_curve(draw_images(rng, qualities[label], NUM_UNSEEN))
        true_scores.append(unseen.compute_f1_at(by_class[label]))
    return scores, true_scores


def make_class_score(counts, metric, name):
    low, high = counts.compute_interval(metric)
    return ClassScore(
        score=counts.compute_score(metric),
        low=low,
        high=high,
        name=name,
        basis='',
        num_images=len(counts.right),
        size=len(counts.right),
    )


def judge_classifier(rng, num_classes, num_images, num_checkpoints=1):
    """Return the scores of the classes of a classifier, and the true ones."""
    recall = rng.uniform(0.6, 1, num_classes)
    others = rng.dirichlet(np.ones(num_classes), num_classes)
    np.fill_diagonal(others, 0)
    others /= others.sum(1, keepdims=True)
    shares = others * (1 - recall)[:, None] + np.diag(recall)
    draws = [
        np.stack([rng.multinomial(num_images, row) for row in shares])
        for _ in range(num_checkpoints)
    ]
    matrix = max(draws, key=np.trace)
    scores = []
    for label in range(num_classes):
        num_right = matrix[label, label]
        num_wrong = matrix[label].sum() + matrix[:, label].sum() - 2 * num_right
        right = np.repeat([1, 0], [num_right, num_wrong])
        scores.append(make_class_score(ImageCounts(right, 1 - right), 'F1', f'class {label}'))
    right = np.diag(shares)
    return scores, (2 * right / (shares.sum(1) + shares.sum(0))).tolist()


def judge_segmentor(rng, num_classes, num_images, num_checkpoints=1):
    """Return the scores of the classes of a segmentor, and the true ones."""
    scores = []
    true_scores = []
    for label in range(num_classes):
        mean = rng.uniform(0.6, 1)
        concentration = 1 / rng.uniform(0.02, 0.5)

        def draw(number, mean=mean, concentration=concentration):
            union = np.exp(rng.normal(8, 1, number)).astype(np.int64) + 1
            iou = rng.beta(mean * concentration, (1 - mean) * concentration + 1e-9, number)
            right = (union * iou).astype(np.int64)
            return ImageCounts(right, union - right)

        candidates = [draw(num_images) for _ in range(num_checkpoints)]
        counts = max(candidates, key=lambda each: each.compute_score('IoU'))
        scores.append(make_class_score(counts, 'IoU', f'class {label}'))
        true_scores.append(draw(20 * NUM_UNSEEN).compute_score('IoU'))
    return scores, true_scores


@dataclass(frozen=True)
class Change:
    """What thresholds by class change on unseen images, beside the best single one."""

    overall: float  # of F1 of all objects
    mean: float  # of the mean F1 over the classes
    num_own: int  # classes with a threshold of their own


def draw_class_images(rng, qualities, shares, num_images):
    """Draw images of several classes, each of which is in a share of them."""
    images_by_class = []
    for quality, share in zip(qualities, shares, strict=True):
        images = draw_images(rng, quality, num_images)
        images_by_class.append([each if rng.uniform() < share else None for each in images])
    return images_by_class


def compare_thresholds(rng):
    """Draw a validation set of two to five classes, half of the time of unlike scores, and return
    the changes of the chosen thresholds, and of those with the highest F1 of each class.
    """
    num_classes = rng.integers(2, 6)
    qualities = draw_classes(rng, num_classes)
    if rng.uniform() < 0.5:
        logit = rng.uniform(-1, 2)
        qualities = [replace(quality, logit=logit + rng.normal(0, 0.2)) for quality in qualities]
    shares = rng.uniform(0.1, 1, num_classes)
    num_images = draw_num_images(rng)
    curves = make_curves(draw_class_images(rng, qualities, shares, num_images))
    unseen = make_curves(draw_class_images(rng, qualities, shares, NUM_COMPARED))
    names = [f'class {label}' for label in range(num_classes)]
    chosen = choose_thresholds(curves, names)
    if chosen is None:
        return None
    single = ScoreThresholds(chosen.overall)
    always = {
        name: curve.rounded_threshold
        for name, curve in zip(names, curves.by_class, strict=True)
        if curve.num_objects >= MIN_OBJECTS
    }
    before = compute_f1_scores(unseen, single, names)
    changes = []
    for thresholds in (chosen, ScoreThresholds(chosen.overall, always)):
        after = compute_f1_scores(unseen, thresholds, names)
        num_own = len(thresholds.by_class)
        changes.append(Change(after.overall - before.overall, after.mean - before.mean, num_own))
    return changes


def print_thresholds(num_sets):
    rng = np.random.default_rng(0)
    compared = [compare_thresholds(rng) for _ in range(num_sets)]
    chosen, always = zip(*filter(None, compared), strict=True)
    for name, changes in (('chosen', chosen), ('highest F1 of each class', always)):
        print(f'{name}: {summarise_changes(changes)}')  # noqa: T201


def summarise_changes(changes):
    texts = [
        f'{sum(change.num_own > 0 for change in changes)} of {len(changes)} sets have own ones'
    ]
    for name in ('overall', 'mean'):
        values = np.array([getattr(change, name) for change in changes])
        lowest, decile, highest = np.quantile(values, [0, 0.1, 1])
        texts.append(
            f'{name}: {values.mean():+.4f} in the mean, worst decile {decile:+.4f}, {lowest:+.4f} to '
            f'{highest:+.4f}, lower in {np.sum(values < 0)}'
        )
    return '; '.join(texts)


def draw_num_images(rng):
    """Draw from 2 to 50 images, of each order of magnitude alike."""
    return int(np.exp(rng.uniform(np.log(2), np.log(51))))


def judge_sets(task, num_sets, num_classes, num_checkpoints, seed=0):
    """Judge simulated validation sets of 2 to 50 images a class.

    Return for each whether the verdict is 'good', 'good so far' or another, the lowest true score of
    a class, and the number of images.
    """
    rng = np.random.default_rng(seed)
    verdicts = []
    for _ in range(num_sets):
        num_images = draw_num_images(rng)
        if task == 'detector':
            qualities = draw_classes(rng, num_classes)
            judged = judge_detector(rng, qualities, num_images, num_checkpoints)
        else:
            judge = {'classifier': judge_classifier, 'segmentor': judge_segmentor}[task]
            judged = judge(rng, num_classes, num_images, num_checkpoints)
        scores, true_scores = judged
        verdict = format_verdict(scores, 'F1', []).splitlines()[1].partition(':')[0]
        verdicts.append((verdict, min(true_scores), num_images))
    return verdicts


def main(num_sets):
    for task in ('detector', 'classifier', 'segmentor'):
        for num_classes in (2, 5) if task == 'classifier' else (1, 3):
            for num_checkpoints in (1, NUM_CHECKPOINTS):
                verdicts = judge_sets(task, num_sets, num_classes, num_checkpoints)
                setting = f'{task}, {num_classes} classes, best of {num_checkpoints}'
                print(f'{setting}: {summarise(verdicts)}')  # noqa: T201


def summarise(verdicts):
    said = [lowest for verdict, lowest, _ in verdicts if verdict == 'good']
    by_score = [lowest for verdict, lowest, _ in verdicts if verdict.startswith('good')]
    texts = [
        f'{len(verdicts)} sets, good said of {len(said)}, wrongly of {count_wrong(said)}; by the '
        f'score alone of {len(by_score)}, wrongly of {count_wrong(by_score)}'
    ]
    for bound in (GOOD, 0.9):
        for fewest, most in ((2, 7), (8, 20), (21, 50)):
            truly = [
                verdict
                for verdict, lowest, num_images in verdicts
                if lowest >= bound and fewest <= num_images <= most
            ]
            withheld = len(truly) - truly.count('good')
            texts.append(f'from {bound}, {fewest} to {most} images: {withheld} of {len(truly)}')
    return f'{texts[0]}; withheld, truly {", ".join(texts[1:])}'


def count_wrong(lowest_scores):
    return sum(score < GOOD for score in lowest_scores)


if __name__ == '__main__':
    if sys.argv[1:] == ['thresholds']:
        print_thresholds(100)
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 200)
