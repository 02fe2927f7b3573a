"""A predictor returns what OpenMMLab's test loop predicts, for images of any supported type."""

import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import InstanceData

from mmgcvit.errors import UserError
from mmgcvit.predict.load import load
from mmgcvit.predict.predictor import MAX_ENLARGED_SIDE
from mmgcvit.predict.results import Detections

from .conftest import assert_same, config_of, picture_of

# The longest side of images in the test pipeline of the detector's config.
DETECTION_SIDE = 128
STRIP = picture_of(16, 5000)  # from which the pipeline leaves no pixel


def test_a_batch_gives_the_same_predictions_as_single_images(model):
    sizes = [(90, 120), (120, 90), (90, 120), (40, 64)]
    pictures = [picture_of(*size, seed) for seed, size in enumerate(sizes)]
    for picture, prediction in zip(pictures, model(pictures, batch_size=3), strict=True):
        assert_same(model(picture), prediction, tolerance=1e-3)


def test_predictions_equal_those_of_openmmlabs_test_loop(model, task, digits, monkeypatch):
    """Compare with the config's dataset, pipeline and model on the same file."""
    monkeypatch.setenv('DIGITS', str(digits))
    cfg = config_of(task)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        with torch.no_grad():
            (sample,) = model.network.test_step(pseudo_collate([dataset[0]]))
    prediction = model(dataset.get_data_info(0)['img_path'])
    if task == 'segmentation':
        found, expected = prediction.label_map, sample.pred_sem_seg.data[0]
    else:
        found = prediction.scores
        expected = sample.pred_instances.scores if task == 'detection' else sample.pred_score
    np.testing.assert_allclose(found, expected, atol=1e-4)


@settings(max_examples=8)
@given(shorter=st.integers(1, 300), ratio=st.floats(1, 320), is_tall=st.booleans())
@example(shorter=16, ratio=312.5, is_tall=True)
@example(shorter=240, ratio=1.2, is_tall=False)
def test_images_of_all_sizes_are_predicted_drawn_and_encoded(shorter, ratio, is_tall, models):
    """Or an error says that the pipeline's limit of the longer side leaves no pixel of the shorter
    one.
    """
    longer = min(int(shorter * ratio), 5000)
    picture = picture_of(*((longer, shorter) if is_tall else (shorter, longer)))
    for task, model in models.items():
        (outcome,) = model.predict_batch([picture])
        is_too_thin = task == 'detection' and shorter * DETECTION_SIDE / longer < 0.5
        assert outcome.error is None or is_too_thin
        drawn = model.draw(picture, outcome.prediction or Detections(*np.zeros((3, 0, 4)), []))
        assert cv2.imencode('.jpg', drawn)[0]
        short_side, long_side = sorted(drawn.shape[:2])
        limit = max(longer, MAX_ENLARGED_SIDE)
        assert min(picture.shape[:2]) < 224 or drawn.shape == picture.shape
        assert short_side >= 224 or long_side == limit
        assert longer <= long_side <= limit


def test_objects_below_the_confidence_threshold_are_dropped(models, picture):
    found = models['detection'](picture)
    threshold = float(found.scores[1])
    kept = replace(models['detection'], score_thr=threshold)(picture)
    np.testing.assert_array_equal(kept.scores, found.scores[found.scores >= threshold])


def test_each_class_has_its_confidence_threshold(models, picture):
    """A detector with own thresholds drops as Detections.filter does; those equal to it stay."""
    model = models['detection']
    found = model(picture)
    thresholds = {found.class_names[0]: float(found.scores[0]), found.class_names[1]: 1.0}
    kept = model.with_score_thr(thresholds)(picture)
    expected = found.filter(thresholds)
    assert 0 < len(expected) < len(found)
    np.testing.assert_array_equal(kept.scores, expected.scores)
    np.testing.assert_array_equal(kept.labels, expected.labels)
    limits = [thresholds.get(name, 0) for name in found.class_names]
    np.testing.assert_array_equal(kept.scores, found.scores[found.scores >= np.float32(limits)])
    one_for_all = model.with_score_thr(thresholds).with_score_thr(0.0)
    assert len(one_for_all(picture)) == len(found)


def test_thresholds_of_unknown_classes_and_of_other_models_are_rejected(models):
    detector = models['detection']
    for reject in (detector.with_score_thr, detector(np.zeros((64, 64, 3), np.uint8)).filter):
        with pytest.raises(UserError, match='the model has no class tiger'):
            reject({'tiger': 0.5})
    with pytest.raises(UserError, match=r'score_thr=1\.5: expected a number from 0 to 1'):
        detector.with_score_thr(1.5)
    with pytest.raises(UserError, match='only for detectors, and this is a segmentation model'):
        models['segmentation'].with_score_thr({'tiger': 0.5})


@pytest.mark.parametrize('side', [1, -5, math.nan, '128', 128.5, True, [128]])
def test_tiles_are_integers_and_not_small(side, models, picture):
    words = re.escape(f'tiles={side!r}: expected an integer, at least 32 px')
    with pytest.raises(UserError, match=words):
        models['detection'](picture, tiles=side)


@pytest.mark.parametrize('edge', range(4))
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_box_with_an_edge_that_is_not_finite_is_dropped(value, edge, models):
    """A diverged network predicts such boxes."""
    boxes = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    boxes[0, edge] = value
    objects = InstanceData(bboxes=boxes, scores=torch.ones(2), labels=torch.zeros(2).long())
    sample = SimpleNamespace(pred_instances=objects, ori_shape=(9, 9))
    assert models['detection'].read_sample(sample).boxes.tolist() == [[5, 6, 7, 8]]


SCORES = st.sampled_from([0.125, 0.25, 0.5, 0.75])


@given(st.lists(st.tuples(SCORES, st.integers(0, 1)), max_size=6), SCORES, SCORES)
def test_counts_may_be_too_low_if_an_object_that_is_not_returned_may_be_over_a_threshold(
    models, candidates, for_cats, for_dogs
):
    """The network returns the three candidates with the highest scores, and each class has its
    threshold.
    """
    candidates = sorted(candidates, reverse=True)
    scores = torch.tensor([score for score, _ in candidates[:3]])
    labels = torch.tensor([label for _, label in candidates[:3]]).long()
    objects = InstanceData(bboxes=torch.ones(len(scores), 4), scores=scores, labels=labels)
    model = replace(
        models['detection'],
        network=SimpleNamespace(test_cfg={'max_per_img': 3}),
        classes=['cat', 'dog'],
        score_thr=for_cats,
        class_score_thr={'dog': for_dogs},
    )
    found = model.read_sample(SimpleNamespace(pred_instances=objects, ori_shape=(9, 9)))
    thresholds = [for_cats, for_dogs]
    num_over = sum(score >= thresholds[label] for score, label in candidates)
    assert len(found) == num_over or found.is_limited
    is_last_high = len(scores) == 3 and scores[-1] >= min(thresholds)
    assert found.is_limited == is_last_high


def test_tiles_of_numpys_type_are_integers(models, picture):
    assert models['detection'].with_tiles(np.int64(64), np.int64(2)).tiles == 64


@pytest.mark.parametrize('size', [0, '2', 1.5, None, True])
def test_batches_are_integers_from_1_on(size, models, picture):
    words = re.escape(f'batch_size={size!r}: expected an integer, at least 1')
    with pytest.raises(UserError, match=words):
        models['detection']([picture], batch_size=size)


@pytest.mark.parametrize('score_thr', [1.5, -1, math.nan, '0.5', [0.5], None, True])
def test_detections_are_filtered_by_a_number_from_0_to_1(score_thr, models, picture):
    """NaN and a percentage would drop all objects silently."""
    words = re.escape(f'score_thr={score_thr}: expected a number from 0 to 1')
    with pytest.raises(UserError, match=words):
        models['detection'](picture).filter(score_thr)


def test_an_image_that_fails_is_named_and_does_not_stop_the_others(models):
    outcomes = models['detection'].predict_batch([picture_of(90, 120), STRIP])
    assert [outcome.error is None for outcome in outcomes] == [True, False]
    with pytest.raises(UserError, match=r'^image 1: the test pipeline .* are \(16, 5000\)'):
        models['detection']([picture_of(90, 120), STRIP])


def test_autocast_keeps_the_dtypes_of_predictions(picture, model):
    with torch.autocast('cpu', torch.bfloat16):
        found = vars(model(picture))
    for name, expected in vars(model(picture)).items():
        assert type(found[name]) is type(expected), name
        assert getattr(found[name], 'dtype', None) == getattr(expected, 'dtype', None), name


@pytest.mark.slow
def test_threads_get_the_same_predictions_as_one_thread(models, work_dirs):
    """Threads load, predict and draw at the same time."""

    def answer(number):
        task = [*models][number % 3]
        threshold = 0.0 if task == 'detection' else None
        model = load(work_dirs[task], None, 'cpu', threshold) if number < 6 else models[task]
        picture = picture_of(90, 120, number)
        return model(picture), model.draw(picture)

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(answer, range(12)))
    for number, (prediction, drawn) in enumerate(together):
        expected, picture = answer(number)
        assert_same(prediction, expected, tolerance=0)
        np.testing.assert_array_equal(drawn, picture)


def test_a_model_runs_on_the_requested_device(device, work_dir, picture, model, task):
    placed = load(work_dir, device=device)
    assert placed.device.type == device
    if task == 'classification':
        assert_same(placed(picture), model(picture), tolerance=1e-2)
    assert placed.draw(picture).dtype == np.uint8
