"""A model is called on pictures of any kind, and gives plain values: what the host's own test gives."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from mmgcvit.inference import Classification, Detections, Panoptic, Segmentation, UserError, load
from mmgcvit.inference.results import list_categories, make_records

from .conftest import CLASSES, assert_same, config_of, picture_of


def test_predictions_are_plain_values(models, picture):
    found, segments, answer = (models[task](picture) for task in models)
    assert isinstance(found, Detections)
    assert found.boxes.shape == (len(found), 4)
    assert found.masks.shape == (len(found), *picture.shape[:2])
    assert len(found) == len(found.class_names) == 3
    assert (np.diff(found.scores) <= 0).all()
    assert isinstance(segments, Segmentation)
    assert segments.label_map.shape == picture.shape[:2]
    assert segments.areas.tolist() == [(segments.label_map == label).sum() for label in segments.labels]
    assert isinstance(answer, Classification)
    assert answer.class_name == CLASSES['classification'][answer.label]
    assert answer.score == pytest.approx(answer.scores.max())
    assert answer.scores.sum() == pytest.approx(1.0, abs=1e-5)


def test_segments_of_a_panoptic_model_are_things_and_stuff_and_its_objects_are_sorted(models):
    model = models['detection']
    ids = torch.full((1, 60, 80), len(model.classes), dtype=torch.int32)
    ids[0, :30], ids[0, 20:50, 10:40], ids[0, 20:50, 40:70] = 9, 1003, 2003
    scores = torch.tensor([0.4, 0.1, 0.9])
    objects = InstanceData(bboxes=torch.zeros(3, 4), scores=scores, labels=torch.tensor([3, 3, 5]))
    sample = DetDataSample(pred_instances=objects, pred_panoptic_seg=PixelData(sem_seg=ids))
    found = model.read_sample(sample)
    assert isinstance(found, Panoptic)
    assert found.scores.tolist() == pytest.approx([0.9, 0.4, 0.1])
    assert found.segment_labels.tolist() == [9, 3, 3]
    assert found.segment_map[[5, 25, 25, 55], [5, 20, 50, 5]].tolist() == [1, 2, 3, 0]
    assert found.segment_areas.tolist() == [30 * 80 - 10 * 60, 900, 900]
    records = make_records(found, list_categories(model.task, model.classes))
    assert [record['area'] for record in records] == found.segment_areas.tolist()
    # mmdet's metric writes 0 where there is no segment.
    ids[ids == len(model.classes)] = 0
    np.testing.assert_array_equal(model.read_sample(sample).segment_map, found.segment_map)
    picture = np.full((60, 80, 3), 100, np.uint8)
    assert (model.draw(picture, found) == 100).all(2)[found.segment_map == 0].all()


def test_a_path_an_array_and_an_image_of_pillow_are_one(model, picture, photo):
    prediction = model(photo)
    assert_same(model(picture), prediction)
    assert_same(model(Image.open(photo)), prediction)


def test_several_images_of_several_sizes_give_what_each_gives_alone(model):
    pictures = [picture_of(*size, seed) for seed, size in enumerate([(90, 120), (120, 90), (90, 120), (40, 64)])]
    if model.task == 'detection':
        # mmdet pads the smaller ones of a batch, by which scores change a little.
        pictures = [pictures[0], pictures[2], pictures[0]]
    together = model(pictures, batch_size=3)
    assert isinstance(together, list)
    for picture, prediction in zip(pictures, together, strict=True):
        assert_same(model(picture), prediction, tolerance=1e-3)


def test_predictions_are_those_of_the_hosts_test(model, task, digits, monkeypatch):
    """The same files through the data set, the pipeline and the model of the config, as a test of it has them."""
    monkeypatch.setenv('DIGITS', str(digits))
    cfg = config_of(task)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        with torch.no_grad():
            (sample,) = model.network.test_step(pseudo_collate([dataset[0]]))
    prediction = model(dataset.get_data_info(0)['img_path'])
    found, wanted = {
        'detection': lambda: (prediction.scores, sample.pred_instances.scores),
        'segmentation': lambda: (prediction.label_map, sample.pred_sem_seg.data[0]),
        'classification': lambda: (prediction.scores, sample.pred_score),
    }[task]()
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_a_picture_is_drawn_as_large_as_it_was(models, picture):
    """Twice the same, by random numbers that are as before."""
    picture = cv2.resize(picture, (300, 240))
    for model in models.values():
        drawn = model.draw(picture)
        assert drawn.shape == picture.shape
        assert drawn.dtype == np.uint8
        assert (drawn != picture).any()
        state = np.random.get_state()[1].copy()
        np.testing.assert_array_equal(drawn, model.draw(picture, model(picture)))
        assert (np.random.get_state()[1] == state).all()

    # Hosts draw red, green, blue; an array is blue, green, red: colours stay where nothing is drawn.
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[..., 0] = 200
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), [])
    assert models['detection'].draw(picture, nothing)[150, 150].tolist() == [200, 0, 0]


def test_small_pictures_of_a_classifier_are_enlarged_for_their_text(models):
    assert models['classification'].draw(picture_of(28, 56)).shape == (224, 448, 3)
    assert models['classification'].draw(picture_of(2, 1120)).shape == (4, 2240, 3)


def test_an_object_below_the_threshold_is_left_out(models, work_dirs, picture):
    found = models['detection'](picture)
    threshold = float(found.scores[1])
    kept = load(work_dirs['detection'], device='cpu', score_thr=threshold)(picture)
    np.testing.assert_array_equal(kept.scores, found.scores[found.scores >= threshold])


def test_a_picture_that_the_network_refuses_stops_no_other(models, monkeypatch):
    """In a batch of two one fails: the backbone takes no side under 32 px."""
    model = models['segmentation']
    prepare = model.pipeline

    def prepared(loaded):
        too_small = {'inputs': torch.zeros(3, 8, 8, dtype=torch.uint8)} if loaded['img_shape'][0] == 20 else {}
        return {**prepare(loaded), **too_small}

    monkeypatch.setattr(model, 'pipeline', prepared)
    good, bad = model.predict_batch([picture_of(90, 120), picture_of(20, 20)])
    assert isinstance(good, Segmentation)
    assert isinstance(bad, UserError)
    assert 'the network cannot take it' in str(bad)


def test_pictures_that_cannot_be_prepared_are_refused_in_a_sentence(models, monkeypatch):
    detector = models['detection']
    for height, width in ((1, 5000), (5000, 1)):
        with pytest.raises(UserError, match=f'image 1: {width} x {height} pixels are too thin: .*; crop the image$'):
            detector([picture_of(90, 120), picture_of(height, width)])
    with pytest.raises(UserError, match='batch_size=0: expected at least 1'):
        detector(['a.jpg'], batch_size=0)

    def broken(_):
        raise KeyError('no depth')

    monkeypatch.setattr(detector, 'pipeline', broken)
    with pytest.raises(UserError, match=r'^image 0: the test pipeline cannot prepare it \(.*no depth'):
        detector([picture_of(90, 120)])


def test_a_callers_precision_and_device_do_not_change_how_a_model_is_loaded(work_dir, picture, model, task):
    """Torch's default dtype and device, and autocast, which lowers the precision of a call as it is asked to."""
    options = {'score_thr': 0.0} if task == 'detection' else {}

    def answer():
        return load(work_dir, device='cpu', **options)(picture)

    try:
        torch.set_default_dtype(torch.float64)
        assert_same(answer(), model(picture), tolerance=0)
        torch.set_default_dtype(torch.bfloat16)
        with pytest.raises(UserError, match=r'default dtype is torch\.bfloat16; load with torch\.float32'):
            answer()
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device('meta'):
        built = load(work_dir, device='cpu', **options)
    assert_same(built(picture), model(picture), tolerance=0)
    with torch.autocast('cpu', torch.bfloat16):
        found = model(picture)
    for name, value in vars(model(picture)).items():
        assert getattr(found, name).__class__ is value.__class__, name
        if isinstance(value, np.ndarray):
            assert getattr(found, name).dtype == value.dtype, name
    if task == 'classification':
        np.testing.assert_allclose(found.scores, model(picture).scores, atol=1e-2)


def test_a_model_runs_on_the_named_device(device, work_dir, picture, model, task):
    options = {'score_thr': 0.0} if task == 'detection' else {}
    placed = load(work_dir, device=device, **options)
    assert placed.device.type == device
    if task == 'classification':
        assert_same(placed(picture), model(picture), tolerance=1e-2)
    assert placed.draw(picture).dtype == np.uint8
