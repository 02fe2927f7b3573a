"""Grad-CAM lies on a planted object, is what its paper defines, for boxes and regions too, and leaves no trace."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmgcvit.errors import UserError
from mmgcvit.visualization import draw_gradcam, gradcam

from .conftest import assert_leaves_no_trace, classifier_of

# Without the package there is one sentence, which has its own test.
needs_gradcam = pytest.mark.skipif('not __import__("importlib.util").util.find_spec("pytorch_grad_cam")')
CLASS = 'digit 7'


def spot(side, row, column, size):
    """A dark square picture with a bright square in it."""
    image = np.zeros((side, side, 3), np.uint8)
    image[row : row + size, column : column + size] = 255
    return image


def spots_are_class_1(model):
    """Plant: class 1 is the direction in which tokens on a bright spot differ from those on the ground."""
    image = spot(64, 16, 32, 16)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    inputs = ((torch.from_numpy(image).float() - mean) / std).permute(2, 0, 1)[None]
    tokens = model.backbone.eval()(inputs)[0][0].flatten(1).T
    on = F.avg_pool2d(torch.from_numpy(image[..., 0]).float()[None], 8).flatten() > 200
    ground, direction = tokens[~on].mean(0), tokens[on].mean(0) - tokens[~on].mean(0)
    model.head.fc.weight.zero_()
    model.head.fc.weight[1] = direction - (direction @ ground) / (ground @ ground) * ground


@needs_gradcam
def test_the_map_lies_on_the_planted_object(tmp_path):
    """Also where the object was not when the answer was planted; the picture is twice as large as what is seen."""
    arch = {'embed_dims': 32, 'depths': (2, 2, 1, 1), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}
    backbone = {'arch': arch, 'out_indices': (1,), 'window_size': (4, 4, 2, 2)}
    planted = classifier_of(tmp_path / 'run', changed=spots_are_class_1, head_dims=64, **backbone)
    for row, column in ((8, 8), (40, 16), (24, 40)):
        found = gradcam(planted, spot(128, 2 * row, 2 * column, 32), class_name=1)
        on = spot(64, row, column, 16)[..., 0] > 0
        assert found.cam.shape == (64, 64)
        assert found.cam[on].mean() > 3 * found.cam[~on].mean()
        top, left = np.unravel_index(found.cam.argmax(), found.cam.shape)
        assert row - 4 <= top < row + 20
        assert column - 4 <= left < column + 20
        assert found.view.box == pytest.approx((0, 0, 128, 128))


def defined(model, found, value_of):
    """By definition: maps weighted by their (mean) gradients, what is positive, from 0 to 1, resized."""
    network, view = model.network, found.view
    backbone, kept = network.backbone, {}
    name = f'norm{found.stage}' if found.stage in backbone.out_indices else f'stages.{found.stage}'
    handle = backbone.get_submodule(name).register_forward_hook(lambda _, __, output: kept.update(map=output))
    mode = 'predict' if model.task == 'detection' else 'tensor'
    value = value_of(network(view.inputs, view.data_samples, mode=mode)[0])
    handle.remove()
    (gradient,) = torch.autograd.grad(value, kept['map'])
    if model.task != 'detection':
        gradient = gradient.mean((1, 2), keepdim=True)
    cam = (kept['map'] * gradient).sum(-1).clamp_min(0)[0].detach()
    cam = F.interpolate(cam[None, None], view.inputs.shape[-2:], mode='bilinear')[0, 0]
    cam = (cam - cam.min()) / (cam.max() - cam.min())
    return cam[: view.seen[0], : view.seen[1]].numpy()


# grad-cam resizes a map after it has been scaled, in its own way: a hundredth of the brightest.
SAME = {'atol': 1e-2}


@needs_gradcam
def test_it_is_what_the_papers_define(models, picture):
    """Of a class and a region Grad-CAM, of a box HiResCAM."""
    model = models['classification']
    for stage in (0, 1):
        found = gradcam(model, picture, class_name=CLASS, stage=stage)
        assert found.class_name == CLASS
        np.testing.assert_allclose(found.cam, defined(model, found, lambda logits: logits[7]), **SAME)
    model = models['detection']
    found = gradcam(model, picture, box=1)
    expected = defined(model, found, lambda sample: torch.logit(sample.pred_instances.scores[1]))
    np.testing.assert_allclose(found.cam, expected, **SAME)
    model = models['segmentation']
    found = gradcam(model, picture, stage=0)
    label = model.classes.index(found.class_name)
    expected = defined(model, found, lambda logits: logits[label][logits.argmax(0) == label].mean())
    np.testing.assert_allclose(found.cam, expected, **SAME)
    assert found.region.mean() == pytest.approx(found.score)


@needs_gradcam
def test_boxes_are_counted_as_predictions_are(models, picture):
    model = models['detection']
    predicted = model(picture)
    for number in (0, 2):
        found = gradcam(model, picture, box=number)
        np.testing.assert_allclose(found.box, predicted.boxes[number], atol=1e-2)
        assert found.class_name == predicted.class_names[number]
        assert found.score == pytest.approx(float(predicted.scores[number]), abs=1e-4)
    # The best of a class.
    label = predicted.labels[-1]
    best = next(number for number, each in enumerate(predicted.labels) if each == label)
    found = gradcam(model, picture, class_name=model.classes[label])
    np.testing.assert_allclose(found.box, predicted.boxes[best], atol=1e-2)


@needs_gradcam
def test_by_default_it_is_the_class_that_the_model_finds_in_the_last_detailed_stage(models, picture):
    """Of 64 px: 16, 8, 4 and 2 tokens a side."""
    predicted = models['classification'](picture)
    found = gradcam(models['classification'], picture)
    assert (found.class_name, found.score) == (predicted.class_name, pytest.approx(predicted.score, abs=1e-4))
    assert found.stage == 2
    largest = models['segmentation'](picture).class_names[0]
    assert gradcam(models['segmentation'], picture).class_name == largest


@needs_gradcam
def test_a_stage_to_which_nothing_speaks_is_passed_over_unless_it_was_asked_for(models, picture, monkeypatch):
    """A box of a detector is judged by one level of a pyramid, which a late stage may not reach."""
    empty, asked = np.zeros((64, 64)), []

    def nothing_before_stage_0(method, layer, *others):
        asked.append(layer)
        return empty if len(asked) < 3 else empty + 1

    monkeypatch.setattr(sys.modules[gradcam.__module__], 'compute_cam', nothing_before_stage_0)
    found = gradcam(models['detection'], picture)
    assert (found.stage, len(set(asked))) == (0, 3)
    assert found.cam.any()
    asked.clear()
    found = gradcam(models['detection'], picture, stage=2)
    assert (found.stage, found.cam.any(), len(asked)) == (2, False, 1)


@needs_gradcam
def test_frozen_networks_have_gradients_too(tmp_path, picture):
    model = classifier_of(tmp_path / 'run', frozen_stages=4)
    assert gradcam(model, picture, class_name=3, stage=0).cam.max() == pytest.approx(1, abs=1e-3)


@needs_gradcam
def test_nothing_is_left_in_the_network_and_the_picture_says_what_is_asked(model, task, picture):
    assert_leaves_no_trace(model, picture, gradcam)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    found = gradcam(model, picture)
    figure = draw_gradcam(found)
    assert f'class {found.class_name}' in figure.get_suptitle()
    marks = {'detection': 'patches', 'segmentation': 'collections'}
    if task in marks and not (found.region is not None and found.region.all()):
        assert all(getattr(axes, marks[task]) for axes in figure.axes[:2])


@needs_gradcam
def test_what_is_not_there_is_refused(models, picture, monkeypatch):
    segmentor = models['segmentation']
    seen = set(segmentor(picture).class_names)
    absent = next(name for name in segmentor.classes if name not in seen)
    for of, asked, message in (
        ('classification', {'class_name': 'cat'}, 'class cat: the model has no such class; its 10 are digit 0, '),
        ('classification', {'class_name': '10'}, 'class 10: the model has no such class'),
        ('classification', {'box': 0}, 'box 0: boxes are of detectors; this is classification'),
        ('classification', {'stage': 7}, 'there is no stage 7; there are 0 to 3'),
        ('detection', {'box': 1000}, r'there is no box 1000 in the image; there are 0 to \d+'),
        ('segmentation', {'class_name': absent}, f'finds no pixel of class {absent}; it finds '),
    ):
        with pytest.raises(UserError, match=message):
            gradcam(models[of], picture, **asked)
    network = type(models['detection'].network)
    predict = network.predict

    def nothing(self, *args, **kwargs):
        samples = predict(self, *args, **kwargs)
        for sample in samples:
            sample.pred_instances = sample.pred_instances[:0]
        return samples

    monkeypatch.setattr(network, 'predict', nothing)
    with pytest.raises(UserError, match='the detector finds no box in the image'):
        gradcam(models['detection'], picture)
