"""A model is called on pictures of any kind, and gives plain values: what the host's own test gives."""

import sys
import warnings

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

import mmgcvit
from mmgcvit.inference import Classification, Detections, Segmentation, UserError, load
from mmgcvit.inference.loading import chosen_device

from ..programs import run
from .conftest import CLASSES, assert_same, picture_of


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


HOSTS_RESULTS = {
    'detection': ('pred_instances', 'scores', 'scores'),
    'segmentation': ('pred_sem_seg', 'data', 'label_map'),
    'classification': ('pred_score', None, 'scores'),
}


def test_predictions_are_those_of_the_hosts_test(model, work_dir, digits, monkeypatch, task):
    """The same files through the data set, the pipeline and the model of the config, as a test of it has them."""
    monkeypatch.setenv('DIGITS', str(digits))
    from .conftest import config_of

    cfg = config_of(task)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        batch = (default_collate if task == 'classification' else pseudo_collate)([dataset[0]])
        with torch.no_grad():
            (sample,) = model.network.test_step(batch)
    field, inner, name = HOSTS_RESULTS[task]
    wanted = getattr(sample, field)
    wanted = getattr(wanted, inner) if inner else wanted
    prediction = model(dataset.get_data_info(0)['img_path'])
    np.testing.assert_allclose(getattr(prediction, name), wanted.numpy().squeeze(), atol=1e-4)


def test_a_picture_is_drawn_as_large_as_it_was(models, picture):
    picture = cv2.resize(picture, (300, 240))
    for model in models.values():
        drawn = model.draw(picture)
        assert drawn.shape == picture.shape
        assert drawn.dtype == np.uint8
        assert (drawn != picture).any()
        state = np.random.get_state()[1].copy()
        np.testing.assert_array_equal(drawn, model.draw(picture, model(picture)))
        assert (np.random.get_state()[1] == state).all()


def test_colours_stay_as_they_were_where_nothing_is_drawn(models):
    """Hosts draw red, green, blue; an array is blue, green, red."""
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[..., 0] = 200
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), [])
    assert models['detection'].draw(picture, nothing)[150, 150].tolist() == [200, 0, 0]
    answer = models['classification'](picture)
    assert models['classification'].draw(picture, answer)[250, 250].tolist() == [200, 0, 0]


def test_a_small_picture_of_a_class_is_enlarged_for_its_words(models):
    assert models['classification'].draw(picture_of(28, 56)).shape == (224, 448, 3)
    assert models['classification'].draw(picture_of(2, 1120)).shape == (4, 2240, 3)


@pytest.mark.parametrize('size', [(1, 1), (3, 2), (40, 400)])
def test_pictures_without_room_for_words_are_drawn_without_a_warning(size, models):
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        for task in ('detection', 'segmentation'):
            assert models[task].draw(picture_of(*size)).shape == (*size, 3)


def test_an_object_below_the_threshold_is_left_out(models, work_dirs, picture):
    found = models['detection'](picture)
    threshold = float(found.scores[1])
    kept = load(work_dirs['detection'], device='cpu', score_thr=threshold)(picture)
    np.testing.assert_array_equal(kept.scores, found.scores[found.scores >= threshold])


def test_a_picture_that_the_network_refuses_stops_no_other(models):
    """In a batch of two one fails: the backbone takes no side under 32 px."""
    model = models['segmentation']
    model.pipeline, before = lambda loaded: packed(loaded), model.pipeline

    def packed(loaded):
        too_small = {'inputs': torch.zeros(3, 8, 8, dtype=torch.uint8)} if loaded['img_shape'][0] == 20 else {}
        return {**before(loaded), **too_small}

    try:
        good, bad = model.outcomes([picture_of(90, 120), picture_of(20, 20)])
    finally:
        model.pipeline = before
    assert isinstance(good, Segmentation)
    assert isinstance(bad, UserError)
    assert 'the network cannot take it' in str(bad)


@pytest.mark.parametrize(('height', 'width'), [(1, 5000), (5000, 1)])
def test_a_picture_too_thin_to_be_resized_is_refused_by_its_size(height, width, models):
    with pytest.raises(UserError, match=f'image 1: {width} x {height} pixels are too thin: .*; crop the image$'):
        models['detection']([picture_of(90, 120), picture_of(height, width)])


def test_what_a_pipeline_raises_else_is_said_in_its_words(models, monkeypatch):
    def broken(_):
        raise KeyError('no depth')

    monkeypatch.setattr(models['detection'], 'pipeline', broken)
    with pytest.raises(UserError, match=r'^image 0: the test pipeline cannot prepare it \(.*no depth'):
        models['detection']([picture_of(90, 120)])


def test_models_of_several_hosts_are_used_in_turns(models, picture):
    """Each finds its own scope, whichever model was used before."""
    first = [models[task](picture) for task in models]
    again = [models[task](picture) for task in reversed(models)]
    for one, other in zip(first, reversed(again), strict=True):
        assert_same(one, other)


def test_without_a_named_device_it_is_the_gpu_where_there_is_one(monkeypatch):
    assert chosen_device('cpu') == torch.device('cpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert chosen_device() == chosen_device('auto') == torch.device('cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert chosen_device() == torch.device('cpu')


@pytest.mark.parametrize('name', ['gpu', 'cuda:x', 'mps', ''])
def test_what_is_no_device_is_answered_by_those_there_are(name):
    with pytest.raises(UserError, match='expected auto, cpu, cuda or cuda:N'):
        chosen_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match='sees no GPU here'):
        chosen_device('cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(UserError, match='sees 2 GPUs'):
        chosen_device('cuda:2')


def test_a_model_runs_on_the_named_device(device, work_dir, picture, model, task):
    options = {'score_thr': 0.0} if task == 'detection' else {}
    placed = load(work_dir, device=device, **options)
    assert placed.device.type == device
    if task == 'classification':
        assert_same(placed(picture), model(picture), tolerance=1e-2)
    assert placed.draw(picture).dtype == np.uint8


@pytest.mark.slow
def test_the_package_offers_it_and_imports_no_host_for_it():
    assert mmgcvit.load.__name__ == load.__name__
    program = "import sys, mmgcvit; print({'mmdet', 'mmseg', 'mmpretrain', 'mmgcvit.inference'} & set(sys.modules))"
    assert run([sys.executable, '-c', program]).stdout == 'set()\n'
