"""The fallback operators, which mmcv's functions call, equal their definitions, and torchvision's
and mmcv's formulations.
"""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv import ops
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import one_hot
from torchvision.ops import roi_align

from mmgcvit.ops import fallback


@pytest.fixture(scope='module', autouse=True)
def fallback_operators():
    """Let mmcv's functions call the fallback operators, also where mmcv has compiled ones."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ('nms', 'roi_align', 'focal_loss', 'multi_scale_deform_attn'):
            patch.setattr(sys.modules[f'mmcv.ops.{name}'], 'ext_module', fallback)
        yield


def differentiate(function, inputs, *others):
    """Return the output of a function, and the gradients of its first inputs, with another weight
    for each element of the output.
    """
    inputs = [x.detach().requires_grad_() for x in inputs]
    output = function(*inputs, *others)
    weights = torch.arange(output.numel(), device=output.device).cos().view_as(output)
    return output, *torch.autograd.grad(output, inputs, weights.to(output.dtype))


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_nms_counts_the_pixels_at_the_edges_if_told(dtype, device):
    """The IoU of these boxes is 36 / 81 without these pixels, and 50 / 100 with them."""
    boxes = torch.tensor([[0, 0, 9, 4], [0, 0, 9, 9]], dtype=dtype, device=device)
    scores = torch.tensor([0.5, 0.9], device=device)
    for offset, expected in ((0, [1, 0]), (1, [1])):
        assert ops.nms(boxes, scores, 0.47, offset)[1].tolist() == expected


def align(maps, rois, ratio=0, aligned=True, mode='avg'):
    return ops.roi_align(maps, rois, (3, 2), 0.25, ratio, mode, aligned)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize(
    ('number', 'aligned', 'ratio'), [(4, True, 0), (4, False, 2), (0, True, 0)]
)
def test_roi_align_and_its_gradient_equal_torchvisions(
    number, aligned, ratio, autocast, dtype, device
):
    corners = torch.rand(number, 2, 2) * 40
    rois = torch.cat([torch.randint(2, (number, 1)), corners.amin(1), corners.amax(1) + 1], 1)
    rois = rois.to(device, dtype)
    maps = torch.rand(2, 3, 8, 9).to(device, dtype)
    with torch.autocast(device, enabled=autocast):
        found = differentiate(align, [maps], rois, ratio, aligned)
        expected = differentiate(roi_align, [maps], rois, (3, 2), 0.25, ratio, aligned)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('ratio', [0, 2])
def test_coordinates_that_are_not_finite_are_0_for_roi_align_which_also_traces(ratio):
    """Its gradient is finite."""
    nan, inf = float('nan'), float('inf')
    rois = torch.tensor([[0, nan, 0, 4, 4], [1, 0, 0, inf, 4], [1, -inf, 0, 4, 4]])
    zeroed = torch.tensor([[0.0, 0, 0, 4, 4], [1, 0, 0, 0, 4], [1, 0, 0, 4, 4]])
    maps = torch.rand(2, 2, 6, 6)
    found = differentiate(align, [maps], rois, ratio)
    assert found[1].isfinite().all()
    torch.testing.assert_close(found, differentiate(align, [maps], zeroed, ratio), rtol=0, atol=0)
    with FakeTensorMode():
        _, gradient = differentiate(align, [torch.rand(1, 2, 6, 6)], torch.rand(2, 5), ratio)
    assert gradient.shape == (1, 2, 6, 6)


@given(
    number=st.integers(1, 5),
    classes=st.integers(1, 4),
    gamma=st.sampled_from([0.5, 1.5, 2.0]),
    seed=st.integers(0, 99),
)
def test_focal_loss_and_its_gradient_equal_the_definition(number, classes, gamma, seed, device):
    torch.manual_seed(seed)
    logits = torch.randn(number, classes, device=device) * 4
    targets = torch.randint(classes + 1, (number,), device=device)  # the last one is background
    options = (targets, gamma, 0.25, torch.rand(classes, device=device) if seed % 2 else None)
    found = differentiate(ops.sigmoid_focal_loss, [logits], *options, 'none')
    expected = differentiate(define_focal_loss, [logits.double()], *options)
    for values, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(values.double(), exact, rtol=1e-5, atol=1e-6)


def define_focal_loss(logits, targets, gamma, alpha, weight):
    classes = logits.shape[1]
    p = logits.sigmoid()
    losses = torch.where(
        one_hot(targets, classes + 1)[:, :-1].bool(),
        -alpha * (1 - p) ** gamma * p.log(),
        (alpha - 1) * p**gamma * (1 - p).log(),
    )
    if weight is not None:  # background has the weight of the last class
        losses = losses * weight[targets.clamp(max=classes - 1), None]
    return losses


@pytest.mark.parametrize(('gamma', 'certain'), [(2.0, 120.0), (0.5, 40.0)])
def test_focal_loss_is_finite_for_large_logits(gamma, certain):
    logits = torch.tensor([[-certain, 0.0], [certain, certain]])
    targets = torch.tensor([1, 1])
    found = differentiate(ops.sigmoid_focal_loss, [logits], targets, gamma, 0.25, None, 'none')
    assert all(x.isfinite().all() for x in found)


def test_deformable_attention_and_its_gradients_equal_mmcvs():
    shapes = torch.tensor([(5, 7), (3, 4)])
    value = torch.rand(2, 47, 3, 4).double()
    locations = torch.rand(2, 3, 3, 2, 2, 2).double() * 1.2 - 0.1  # some outside of the maps
    inputs = [value, locations, torch.rand(2, 3, 3, 2, 2).double()]

    def attend(value, *others):
        return MultiScaleDeformableAttnFunction.apply(value, shapes, None, *others, 64)

    def define(value, *others):
        return multi_scale_deformable_attn_pytorch(value, shapes, *others)

    found, expected = (differentiate(function, inputs) for function in (attend, define))
    torch.testing.assert_close(found, expected)


def test_other_operators_raise_an_error_that_names_them():
    with pytest.raises(NotImplementedError, match=r'operator softnms .*OPERATORS=compiled'):
        fallback.softnms(torch.rand(1, 4), iou_threshold=0.5)
    with pytest.raises(NotImplementedError, match=r"pool_mode='max'.*OPERATORS=compiled"):
        align(torch.rand(1, 1, 4, 4), torch.rand(1, 5), mode='max')
