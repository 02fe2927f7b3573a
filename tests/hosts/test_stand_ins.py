"""What stands in for mmcv's compiled operators computes what they compute: by definition, and beside them."""

import importlib.util
from importlib import import_module

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.hosts import finder, operators

from . import plain


def load_stand_ins():
    """The module, also where mmcv has compiled operators."""
    path = finder.__file__.replace('finder.py', 'stand_ins.py')
    spec = importlib.util.spec_from_file_location('stand_ins', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STAND_INS = load_stand_ins()
needs_compiled = pytest.mark.skipif(not operators.are_compiled(), reason='this mmcv has no compiled operators')


@pytest.fixture
def compiled():
    return import_module('mmcv._ext')


def random_boxes(number, size=40.0):
    corners = torch.rand(number, 2, 2) * size
    return torch.cat([corners.amin(1), corners.amax(1) + 1], 1)


def random_rois(number, num_images, size=40.0):
    return torch.cat([torch.randint(num_images, (number, 1)).float(), random_boxes(number, size)], 1)


@given(
    number=st.integers(0, 12), threshold=st.floats(0.1, 0.9), offset=st.sampled_from([0, 1]), seed=st.integers(0, 99)
)
def test_nms_keeps_what_the_definition_keeps_in_its_order(number, threshold, offset, seed):
    torch.manual_seed(seed)
    boxes, scores = random_boxes(number), torch.rand(number)
    kept = STAND_INS.nms(boxes, scores, iou_threshold=threshold, offset=offset)
    assert kept.tolist() == plain.nms(boxes.tolist(), scores.tolist(), threshold, offset)


def align(module, maps, rois, size=(3, 2), scale=0.25, aligned=True, ratio=0):
    """RoIAlign and the gradient of its maps, by mmcv's calling convention."""
    output, no_argmax = maps.new_zeros(len(rois), maps.shape[1], *size), maps.new_zeros(0)
    options = {'aligned_height': size[0], 'aligned_width': size[1], 'spatial_scale': scale, 'aligned': aligned}
    options |= {'sampling_ratio': ratio, 'pool_mode': 1}
    module.roi_align_forward(maps, rois, output, no_argmax, no_argmax, **options)
    grad_output, grad_maps = torch.cos(torch.arange(output.numel())).to(maps).view(output.shape), torch.zeros_like(maps)
    module.roi_align_backward(grad_output, rois, no_argmax, no_argmax, grad_maps, **options)
    return output, grad_output, grad_maps


@given(number=st.integers(1, 4), side=st.integers(2, 12), aligned=st.booleans(), seed=st.integers(0, 99))
def test_roi_align_and_its_gradient_are_those_of_the_definition(number, side, aligned, seed):
    torch.manual_seed(seed)
    maps, rois = torch.rand(2, 3, side, side + 1, dtype=torch.float64), random_rois(number, 2).double()
    output, grad_output, grad_maps = align(STAND_INS, maps, rois, aligned=aligned)
    maps.requires_grad_()
    expected = plain.roi_align(maps, rois, (3, 2), 0.25, aligned)
    assert (output - expected).abs().max() < 1e-12
    # RoIs that lie outside of their image as a whole have nothing to do with it.
    wanted = torch.autograd.grad(expected, maps, grad_output)[0] if expected.requires_grad else torch.zeros_like(maps)
    assert (grad_maps - wanted).abs().max() < 1e-12


def test_roi_align_by_maxima_is_refused_by_name():
    maps, rois = torch.rand(1, 1, 4, 4), random_rois(1, 1)
    with pytest.raises(NotImplementedError, match=r"roi_align with pool_mode='max'.*OPERATORS=compiled"):
        STAND_INS.roi_align_forward(maps, rois, maps, maps, maps, 2, 2, 1.0, 0, 0, True)


def focal(module_loss, logits, targets, weight, gamma):
    logits = logits.clone().requires_grad_()
    losses = module_loss(logits, targets, weight, gamma, 0.25)
    return losses.detach(), torch.autograd.grad(losses.sum(), logits)[0]


@given(number=st.integers(1, 5), classes=st.integers(1, 4), gamma=st.sampled_from([1.5, 2.0]), seed=st.integers(0, 99))
def test_focal_loss_and_its_gradient_are_those_of_the_formula(number, classes, gamma, seed):
    torch.manual_seed(seed)
    logits, targets = torch.randn(number, classes) * 4, torch.randint(classes, (number,))
    weight = torch.rand(classes) if seed % 2 else torch.empty(0)
    expected = focal(plain.sigmoid_focal_loss, logits.double(), targets, weight.double(), gamma)
    output, gradient = torch.zeros_like(logits), torch.zeros_like(logits)
    STAND_INS.sigmoid_focal_loss_forward(logits, targets, weight, output, gamma=gamma, alpha=0.25)
    STAND_INS.sigmoid_focal_loss_backward(logits, targets, weight, gradient, gamma=gamma, alpha=0.25)
    for found, wanted in zip((output, gradient), expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('logit', [-120.0, 0.0, 120.0])
def test_focal_loss_of_certain_logits_is_finite(logit):
    logits, gradient = torch.full((1, 2), logit), torch.zeros(1, 2)
    output = torch.zeros(1, 2)
    STAND_INS.sigmoid_focal_loss_forward(logits, torch.tensor([1]), torch.empty(0), output, gamma=2.0, alpha=0.25)
    STAND_INS.sigmoid_focal_loss_backward(logits, torch.tensor([1]), torch.empty(0), gradient, gamma=2.0, alpha=0.25)
    assert output.isfinite().all()
    assert gradient.isfinite().all()


def test_an_image_without_objects_is_background_in_the_focal_loss():
    """Its target is one more than the last class, as mmdet numbers the background."""
    logits, output = torch.randn(2, 3), torch.zeros(2, 3)
    STAND_INS.sigmoid_focal_loss_forward(logits, torch.tensor([3, 3]), torch.empty(0), output, gamma=2.0, alpha=0.25)
    p = logits.sigmoid()
    torch.testing.assert_close(output, -0.75 * p**2 * torch.log(1 - p), rtol=1e-4, atol=1e-6)


def deformable_inputs(shapes=((5, 7), (3, 4)), queries=3, points=2):
    keys = sum(h * w for h, w in shapes)
    value = torch.rand(2, keys, 2, 4, dtype=torch.float64)
    locations = torch.rand(2, queries, 2, len(shapes), points, 2, dtype=torch.float64) * 1.2 - 0.1
    weights = torch.rand(2, queries, 2, len(shapes), points, dtype=torch.float64)
    return value, shapes, locations, weights


def test_deformable_attention_and_its_gradients_are_those_of_the_definition():
    value, shapes, locations, weights = deformable_inputs()
    given_shapes, starts = torch.tensor(shapes), torch.tensor([0, 35])
    output = STAND_INS.ms_deform_attn_forward(value, given_shapes, starts, locations, weights, im2col_step=64)
    inputs = [x.requires_grad_() for x in (value, locations, weights)]
    expected = plain.deformable_attention(inputs[0], shapes, *inputs[1:])
    assert (output - expected).abs().max() < 1e-12
    grad_output = torch.cos(torch.arange(output.numel())).double().view(output.shape)
    wanted = torch.autograd.grad(expected, inputs, grad_output)
    found = [torch.zeros_like(x) for x in inputs]
    arguments = (value.detach(), given_shapes, starts, locations.detach(), weights.detach(), grad_output)
    STAND_INS.ms_deform_attn_backward(*arguments, *found, im2col_step=64)
    for name, a, b in zip(('value', 'locations', 'weights'), found, wanted, strict=True):
        assert (a - b).abs().max() < 1e-10, name


def test_any_other_operator_is_refused_by_name_when_it_is_called():
    softnms = STAND_INS.softnms
    with pytest.raises(NotImplementedError, match=r"mmcv's operator softnms .*make install OPERATORS=compiled"):
        softnms(torch.rand(1, 4), iou_threshold=0.5)


@needs_compiled
@pytest.mark.parametrize('offset', [0, 1])
def test_nms_is_that_of_the_compiled_operator(compiled, offset):
    boxes, scores = random_boxes(500, 200.0), torch.rand(500)
    arguments = {'iou_threshold': 0.5, 'offset': offset}
    assert torch.equal(STAND_INS.nms(boxes, scores, **arguments), compiled.nms(boxes, scores, **arguments))


@needs_compiled
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_and_its_gradient_are_those_of_the_compiled_operator(compiled, aligned, ratio):
    maps, rois = torch.rand(2, 8, 50, 76), random_rois(40, 2, 300.0)
    ours, theirs = (align(module, maps, rois, (7, 7), 0.25, aligned, ratio) for module in (STAND_INS, compiled))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
