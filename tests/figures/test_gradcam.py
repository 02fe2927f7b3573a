"""Grad-CAM equals its definition for classes, boxes and regions, and does not change the network."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmgcvit.errors import UserError
from mmgcvit.figures.gradcam import compute_gradcam, draw_gradcam

from .conftest import assert_leaves_no_trace

pytest.importorskip('pytorch_grad_cam')


VALUES = {
    'classification': lambda logits: logits[7],
    'detection': lambda sample: torch.logit(sample.pred_instances.scores[1]),
    'segmentation': lambda logits: logits.max(0)[0][logits.argmax(0) == logits.argmax(0).flatten().mode()[0]].mean(),
}


@pytest.mark.parametrize('stage', [0, 1])
def test_gradcam_and_hirescam_equal_their_definitions_in_the_papers(model, task, picture, stage):
    """Weight the feature map by its gradients (their means for Grad-CAM), apply ReLU, resize, and scale to 0 to 1."""
    asked = {'classification': {'class_name': 'digit 7'}, 'detection': {'box': 1}}.get(task, {})
    found = compute_gradcam(model, picture, stage=stage, **asked)
    backbone, kept = model.network.backbone, {}
    name = f'norm{stage}' if stage in backbone.out_indices else f'stages.{stage}'
    handle = backbone.get_submodule(name).register_forward_hook(lambda _, __, output: kept.update(map=output))
    mode = 'predict' if task == 'detection' else 'tensor'
    value = VALUES[task](model.network(found.view.inputs, found.view.data_samples, mode=mode)[0])
    handle.remove()
    (gradient,) = torch.autograd.grad(value, kept['map'])
    if task != 'detection':
        gradient = gradient.mean((1, 2), keepdim=True)
    cam = (kept['map'] * gradient).sum(-1).clamp_min(0)[None].detach()
    cam = F.interpolate(cam, found.view.inputs.shape[-2:], mode='bilinear')[0, 0]
    cam = (cam - cam.min()) / (cam.max() - cam.min())
    # grad-cam resizes a map after it has been scaled: a hundredth of the maximum.
    np.testing.assert_allclose(found.cam, cam[: found.view.size[0], : found.view.size[1]], atol=1e-2)
    if found.region is not None:
        assert found.score is None


def test_boxes_are_indexed_in_the_order_of_predictions(models, picture):
    model = models['detection']
    predicted = model(picture)
    last = predicted.labels[-1]
    best = predicted.labels.tolist().index(last)
    for asked, number in (({'box': 0}, 0), ({'box': 2}, 2), ({'class_name': model.classes[last]}, best)):
        found = compute_gradcam(model, picture, **asked)
        np.testing.assert_allclose(found.box, predicted.boxes[number], atol=1e-2)
        assert found.class_name == predicted.class_names[number]
        assert found.score == pytest.approx(float(predicted.scores[number]), abs=1e-4)


def test_the_default_is_the_predicted_class_in_the_last_detailed_stage(models, picture):
    """Images of 64 px give feature maps of 16, 8, 4 and 2 tokens a side."""
    found = compute_gradcam(models['classification'], picture)
    assert (found.class_name, found.stage) == (models['classification'](picture).class_name, 2)
    largest = models['segmentation'](picture).class_names[0]
    assert compute_gradcam(models['segmentation'], picture).class_name == largest


def test_a_stage_with_a_zero_map_is_skipped_unless_it_is_requested(models, picture, monkeypatch):
    empty, layers = np.zeros((64, 64)), []

    def compute_cam(method, layer, *others):
        layers.append(layer)
        return empty if len(layers) < 3 else empty + 1

    monkeypatch.setattr(sys.modules[compute_gradcam.__module__], 'compute_cam', compute_cam)
    assert compute_gradcam(models['detection'], picture).stage == 0
    layers.clear()
    assert not compute_gradcam(models['detection'], picture, stage=2).cam.any()


def test_the_network_is_unchanged_and_the_figure_names_the_class(model, task, picture):
    assert_leaves_no_trace(model, picture, compute_gradcam)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    found = compute_gradcam(model, picture)
    figure = draw_gradcam(found)
    assert f'class {found.class_name}' in figure.get_suptitle()
    if task == 'detection':
        assert all(axes.patches for axes in figure.axes[:2])


@pytest.mark.parametrize(
    ('task', 'asked', 'message'),
    [
        ('classification', {'class_name': 'cat'}, 'no class cat. Choose one of its 10 classes: digit 0, '),
        ('classification', {'box': 0}, 'box 0: a box is only for detectors, and this is a classification model'),
        ('classification', {'stage': 7}, 'there is no stage 7. Expected 0 to 3'),
        ('detection', {'box': 1000}, r'there is no box 1000 in the image. Expected 0 to \d+'),
        ('segmentation', {}, r'predicts no pixel of class .*\. Choose one of the classes that it predicts: '),
    ],
)
def test_invalid_classes_boxes_and_stages_are_rejected(model, picture, asked, message):
    if model.task == 'segmentation':
        seen = model(picture).class_names
        asked = {'class_name': next(name for name in model.classes if name not in seen)}
    with pytest.raises(UserError, match=message):
        compute_gradcam(model, picture, **asked)
