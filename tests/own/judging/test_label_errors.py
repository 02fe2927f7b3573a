"""``mmgcvit mistakes --labels`` lists missing, extra, misplaced and swapped labels, the most likely
first, for all tasks.
"""

import csv
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS

from mmgcvit.datasets.loading import make_loading_pipeline
from mmgcvit.host.config import enter_scope
from mmgcvit.host.tasks import DETECTION
from mmgcvit.own.data.folders import scan_folder
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.judging.classification import ClassificationEvaluation
from mmgcvit.own.judging.detection import DetectionEvaluation
from mmgcvit.own.judging.label_errors import COLUMNS
from mmgcvit.own.judging.segmentation import SegmentationEvaluation
from mmgcvit.own.judging.suspects import GivenLabel, ImageLabels, Kind, LikelihoodRule, Suspect
from mmgcvit.own.training.config import make_config
from mmgcvit.predict.results import Classification, make_segmentation
from mmgcvit.predict.thresholds import ScoreThresholds

from ..data.formats.made import write_example
from .conftest import make_detections
from .planted import BACKGROUND, CLASSES, Thing, plant_in_scenes

SIDE = 96
KINDS = {
    'dropped': Kind.MISSING,
    'added': Kind.EXTRA,
    'shifted': Kind.MISPLACED,
    'swapped': Kind.SWAPPED,
}
SEEDS = st.integers(0, 2**32 - 1)
# What a comparison reads of a model
MODEL = SimpleNamespace(classes=CLASSES, thresholds=ScoreThresholds(0.3))
MAP_MODEL = SimpleNamespace(classes=['background', *CLASSES])


def make_scenes(rng):
    """Make scenes of up to four objects, each in another quarter of the image."""
    scenes = []
    for _ in range(6):
        things = []
        for quarter in rng.permutation(4)[: rng.integers(1, 5)]:
            mask = np.zeros((SIDE, SIDE), bool)
            top, left = 48 * np.array(divmod(int(quarter), 2)) + rng.integers(2, 8, 2)
            height, width = rng.integers(14, 24, 2)
            mask[top : top + height, left : left + width] = True
            things.append(Thing(int(rng.integers(len(CLASSES))), mask))
        scenes.append(things)
    return scenes


def to_detections(things):
    return make_detections([(thing.box, thing.label, 1.0) for thing in things], CLASSES)


def to_map(things):
    labels = np.full((SIDE, SIDE), BACKGROUND)
    for thing in things:
        labels[thing.mask] = thing.label + 1
    return make_segmentation(labels, ['background', *CLASSES])


def list_likely(images, num_classes):
    """List the kinds and boxes of likely errors, each with the number of its image."""
    rule = LikelihoodRule(images, num_classes)
    return sorted(
        (number, suspect.kind.value, suspect.given_box, suspect.found_box)
        for number, image in enumerate(images)
        for suspect in image.suspects
        if rule.compute(suspect) > 0
    )


@settings(max_examples=20)
@given(SEEDS)
@pytest.mark.parametrize('task', ['boxes', 'maps'])
def test_a_perfect_model_finds_exactly_the_planted_errors(task, seed):
    rng = np.random.default_rng(seed)
    true = make_scenes(rng)
    given_scenes, planted = plant_in_scenes(rng, true, 'val', range(len(true)))
    images = []
    for given_things, things in zip(given_scenes, true, strict=True):
        if task == 'boxes':
            ground_truth, prediction = to_detections(given_things), to_detections(things)
            images.append(DetectionEvaluation().find_suspects(ground_truth, prediction, MODEL))
        else:
            ground_truth, prediction = to_map(given_things), to_map(things)
            images.append(
                SegmentationEvaluation().find_suspects(ground_truth, prediction, MAP_MODEL)
            )
    expected = []
    for error in planted:
        given_box = error.given and tuple(error.given)
        found_box = error.true and tuple(error.true)
        expected.append((error.image, KINDS[error.kind].value, given_box, found_box))
    assert list_likely(images, 1 + len(CLASSES)) == sorted(expected)


def classify(*scores):
    scores = np.array(scores, np.float32)
    label = int(scores.argmax())
    return Classification(label, 'abc'[label], float(scores[label]), scores)


def test_an_image_in_the_wrong_class_folder_is_swapped():
    model = SimpleNamespace(classes='abc')
    evaluation = ClassificationEvaluation()
    truth = classify(1.0, 0.0, 0.0)
    (wrong,) = evaluation.find_suspects(truth, classify(0.1, 0.8, 0.1), model).suspects
    assert (wrong.kind, wrong.given, wrong.found) == (Kind.SWAPPED, 0, 1)
    assert not evaluation.find_suspects(truth, classify(0.8, 0.1, 0.1), model).suspects


def list_kinds(truth, found):
    return [
        suspect.kind
        for suspect in DetectionEvaluation().find_suspects(truth, found, MODEL).suspects
    ]


@pytest.mark.parametrize(
    ('score', 'kinds'), [(0.2, []), (0.4, [Kind.MISSING])], ids=['below', 'above']
)
def test_detections_below_the_confidence_threshold_contradict_no_label(score, kinds):
    truth = make_detections([([10, 10, 40, 40], 0, 1.0)], CLASSES)
    on_label = ([10, 10, 40, 40], 0, 0.9)
    free = make_detections([on_label, ([60, 60, 80, 80], 1, score)], CLASSES)
    assert list_kinds(truth, free) == kinds


def test_a_label_that_only_unsure_detections_support_is_extra_but_less_likely():
    truth = make_detections([([10, 10, 40, 40], 0, 1.0)], CLASSES)
    rule = LikelihoodRule([ImageLabels([GivenLabel(0, 900)])], len(CLASSES))
    likelihoods = []
    for found in ([], [([10, 10, 40, 40], 1, 0.2)]):
        prediction = make_detections(found, CLASSES)
        (suspect,) = DetectionEvaluation().find_suspects(truth, prediction, MODEL).suspects
        assert suspect.kind is Kind.EXTRA
        likelihoods.append(rule.compute(suspect))
    assert likelihoods == pytest.approx([1.0, 0.8])


def test_a_part_of_an_object_is_less_likely_a_label_error_than_an_object():
    rule = LikelihoodRule([ImageLabels([GivenLabel(0, 100)])], 1)
    extra = Suspect(
        kind=Kind.EXTRA, given=0, found=None, given_score=0.0, found_score=0.0, size=100
    )
    assert rule.compute(extra) > rule.compute(replace(extra, size=10))


def write_run(folder, data, task):
    """Write the run of a model with random weights on a folder of data."""
    path, _ = make_config(read_folder(data, task), work_dir=folder, size='mini')
    cfg = Config.fromfile(path)
    enter_scope(cfg)
    (folder / path.name).write_bytes(path.read_bytes())
    classes = cfg.val_dataloader.dataset.metainfo.classes
    content = {
        'state_dict': MODELS.build(cfg.model).state_dict(),
        'meta': {'dataset_meta': {'classes': [*classes]}},
    }
    torch.save(content, folder / 'epoch_1.pth')
    return folder


@pytest.mark.parametrize(
    ('example', 'task'),
    [
        ('coco', 'detect'),
        pytest.param('maps', 'semantic', marks=pytest.mark.slow),
        pytest.param('classes', 'classify', marks=pytest.mark.slow),
    ],
)
def test_the_command_lists_labels_of_both_splits_of_own_data(example, task, call, tmp_path):
    data = tmp_path / 'photos'
    write_example(data, example)
    run = write_run(tmp_path / 'run', data, task)
    code, printed = call('mistakes', run, '--labels', '--device', 'cpu', '--worst', 2)
    assert not code, printed
    assert 'train images are less certain' in printed
    out = tmp_path / 'mistakes'
    with (out / 'label_errors.csv').open(encoding='utf-8-sig', newline='') as file:
        rows = list(csv.DictReader(file, fieldnames=COLUMNS))[1:]
    likelihoods = [float(row['likelihood']) for row in rows]
    assert likelihoods == sorted(likelihoods, reverse=True)
    assert {row['split'] for row in rows} <= {'train', 'val'}
    for row in rows[:2]:
        assert cv2.imread(str(out / 'label_errors' / row['picture'])).shape[1] > 1500
    if rows:
        assert not scan_folder(out).files, 'what was written is not data'
    again = call('mistakes', run, '--labels', '--device', 'cpu', '--out-dir', out)[1]
    assert '--overwrite' in again


def test_scores_of_training_images_are_refused(call, work_dir):
    assert (
        'look for wrong labels with --labels' in call('mistakes', work_dir, '--split', 'train')[1]
    )


def test_training_images_are_loaded_with_all_labels_from_the_config_that_a_run_writes():
    """A training wraps its loading transforms and leaves out small objects."""
    load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
    wrapper = {
        'type': 'mmgcvit.SkipUnreadable',
        'transforms': load,
        'augmentations': [{'type': 'FilterAnnotations'}, {'type': 'PackDetInputs'}],
    }
    pipeline = make_loading_pipeline(ConfigDict(pipeline=[wrapper]), DETECTION, masks=True)
    types = [step['type'] for step in pipeline[:-1]]
    assert types == ['LoadImageFromFile', 'mmgcvit.LoadEncodedAnnotations']
