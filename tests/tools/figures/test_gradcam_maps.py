"""Grad-CAM of a classifier equals its definition and does not change the network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmgcvit.errors import UserError
from tools.figures.gradcam_maps import compute_gradcam, draw_gradcam

from .conftest import assert_leaves_no_trace

pytest.importorskip('pytorch_grad_cam')


@pytest.fixture
def model(models):
    return models['classification']


@pytest.mark.parametrize('stage', [0, 1])
def test_gradcam_equals_its_definition_in_the_paper(model, picture, stage):
    """Weight the feature map by the means of its gradients, apply ReLU, resize, and scale to 0 to
    1.
    """
    found = compute_gradcam(model, picture, 'digit 7', stage)
    backbone = model.network.backbone
    kept = {}
    name = f'norm{stage}' if stage in backbone.out_indices else f'stages.{stage}'
    handle = backbone.get_submodule(name).register_forward_hook(
        lambda _, __, output: kept.update(map=output)
    )
    logits = model.network(found.view.inputs, mode='tensor')[0]
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[7], kept['map'])
    cam = (kept['map'] * gradient.mean((1, 2), keepdim=True)).sum(-1).clamp_min(0)[None].detach()
    cam = F.interpolate(cam, found.view.inputs.shape[-2:], mode='bilinear')[0, 0]
    cam = (cam - cam.min()) / (cam.max() - cam.min())
    # grad-cam resizes a map after it has been scaled: a hundredth of the maximum.
    height, width, _ = found.view.image.shape
    np.testing.assert_allclose(found.cam, cam[:height, :width], atol=1e-2)


def test_the_default_is_the_predicted_class_in_the_last_detailed_stage_and_the_network_is_unchanged(
    model, picture
):
    """Images of 64 px give feature maps of 16, 8, 4 and 2 tokens a side."""
    assert_leaves_no_trace(model, picture, compute_gradcam)
    found = compute_gradcam(model, picture)
    predicted = model(picture)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert (found.class_name, found.stage) == (predicted.class_name, 2)
    assert found.score == pytest.approx(predicted.score, abs=1e-4)
    assert f'class {found.class_name}' in draw_gradcam(found).get_suptitle()


@pytest.mark.parametrize(
    ('task', 'asked', 'message'),
    [
        ('classification', {'class_name': 'cat'}, 'no class cat. Its classes are digit 0, '),
        ('classification', {'stage': 7}, 'there is no stage 7. Expected 0 to 3'),
        ('detection', {}, 'Grad-CAM is for classifiers, and this is a detection model'),
    ],
)
def test_invalid_classes_stages_and_models_are_rejected(models, task, picture, asked, message):
    with pytest.raises(UserError, match=message):
        compute_gradcam(models[task], picture, **asked)
