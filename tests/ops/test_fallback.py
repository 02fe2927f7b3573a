"""The fallback operators equal their definitions, and torchvision's and mmcv's formulations."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import one_hot
from torchvision.ops import roi_align

from mmgcvit.ops import fallback


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_nms_counts_the_pixels_at_the_edges_if_told(dtype, device):
    """The IoU of these boxes is 36 / 81 without these pixels, and 50 / 100 with them."""
    boxes = torch.tensor([[0, 0, 9, 4], [0, 0, 9, 9]], dtype=dtype, device=device)
    scores = torch.tensor([0.5, 0.9], device=device)
    for offset, expected in ((0, [1, 0]), (1, [1])):
        assert fallback.nms(boxes, scores, iou_threshold=0.47, offset=offset).tolist() == expected


def align(maps, rois, aligned=True, ratio=0, pool_mode=1):
    """RoIAlign and the gradient of its maps, by mmcv's calling convention."""
    output, no_argmax = maps.new_zeros(len(rois), maps.shape[1], 3, 2), maps.new_zeros(0)
    options = {'aligned_height': 3, 'aligned_width': 2, 'spatial_scale': 0.25, 'aligned': aligned}
    options |= {'sampling_ratio': ratio, 'pool_mode': pool_mode}
    fallback.roi_align_forward(maps, rois, output, no_argmax, no_argmax, **options)
    grad_output, grad_maps = (
        torch.cos(torch.arange(output.numel())).to(maps).view(output.shape),
        torch.zeros_like(maps),
    )
    with torch.no_grad():
        fallback.roi_align_backward(grad_output, rois, no_argmax, no_argmax, grad_maps, **options)
    return output, grad_output, grad_maps


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize(
    ('number', 'aligned', 'ratio'), [(4, True, 0), (4, False, 2), (0, True, 0)]
)
def test_roi_align_and_its_gradient_equal_torchvisions(
    number, aligned, ratio, autocast, dtype, device
):
    corners = torch.rand(number, 2, 2) * 40
    rois = torch.cat([torch.randint(2, (number, 1)), corners.amin(1), corners.amax(1) + 1], 1).to(
        device, dtype
    )
    maps = torch.rand(2, 3, 8, 9).to(device, dtype).requires_grad_()
    with torch.autocast(device, enabled=autocast):
        output, grad_output, grad_maps = align(maps.detach(), rois, aligned, ratio)
        expected = roi_align(maps, rois, (3, 2), 0.25, ratio, aligned)
        (expected_grad,) = torch.autograd.grad(expected, maps, grad_output)
    torch.testing.assert_close((output, grad_maps), (expected.detach(), expected_grad))


@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_has_a_finite_gradient_for_nan_boxes_and_traces(ratio):
    rois = torch.tensor([[0, float('nan'), 0, 4, 4], [1, 0, 0, float('inf'), 4]])
    assert align(torch.rand(2, 2, 6, 6), rois, ratio=ratio)[2].isfinite().all()
    with FakeTensorMode():
        assert align(torch.rand(1, 2, 6, 6), torch.rand(2, 5), ratio=ratio)[2].shape == (1, 2, 6, 6)


@given(
    number=st.integers(1, 5),
    classes=st.integers(1, 4),
    gamma=st.sampled_from([0.5, 1.5, 2.0]),
    seed=st.integers(0, 99),
)
def test_focal_loss_and_its_gradient_equal_the_definition(number, classes, gamma, seed, device):
    torch.manual_seed(seed)
    logits = torch.randn(number, classes) * 4
    targets = torch.randint(classes + 1, (number,))  # the last one is background
    weight = torch.rand(classes) if seed % 2 else torch.empty(0)
    exact = logits.double().requires_grad_()
    p, is_class = exact.sigmoid(), one_hot(targets, classes + 1)[:, :-1].bool()
    losses = torch.where(
        is_class, -0.25 * (1 - p) ** gamma * p.log(), -0.75 * p**gamma * (1 - p).log()
    )
    if len(weight):  # background has the weight of the last class
        losses = losses * weight.double()[targets.clamp(max=classes - 1), None]
    expected = losses.detach(), torch.autograd.grad(losses.sum(), exact)[0]
    output, gradient = focal(*(x.to(device) for x in (logits, targets, weight)), gamma)
    for found, wanted in zip((output, gradient), expected, strict=True):
        torch.testing.assert_close(found.cpu().double(), wanted, rtol=1e-5, atol=1e-6)


@torch.no_grad()  # as autograd calls mmcv's functions
def focal(logits, targets, weight, gamma):
    output, gradient = torch.zeros_like(logits), torch.zeros_like(logits)
    fallback.sigmoid_focal_loss_forward(logits, targets, weight, output, gamma=gamma, alpha=0.25)
    fallback.sigmoid_focal_loss_backward(logits, targets, weight, gradient, gamma=gamma, alpha=0.25)
    return output, gradient


@pytest.mark.parametrize(('gamma', 'certain'), [(2.0, 120.0), (0.5, 40.0)])
def test_focal_loss_is_finite_for_large_logits(gamma, certain):
    logits = torch.tensor([[-certain, 0.0], [certain, certain]])
    assert all(
        x.isfinite().all() for x in focal(logits, torch.tensor([1, 1]), torch.empty(0), gamma)
    )


def test_deformable_attention_and_its_gradients_equal_mmcvs():
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    shapes = torch.tensor([(5, 7), (3, 4)])
    value = torch.rand(2, 47, 3, 4, dtype=torch.float64)
    locations = torch.rand(2, 3, 3, 2, 2, 2).double() * 1.2 - 0.1  # some outside of the maps
    weights = torch.rand(2, 3, 3, 2, 2, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (value, locations, weights)]
    expected = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    grad_output = torch.rand_like(expected)
    gradients = torch.autograd.grad(expected, inputs, grad_output)
    found = [torch.zeros_like(x) for x in inputs]
    arguments = (value, shapes, None, locations, weights)
    with torch.no_grad():
        output = fallback.ms_deform_attn_forward(*arguments, im2col_step=64)
        fallback.ms_deform_attn_backward(*arguments, grad_output, *found, im2col_step=64)
    torch.testing.assert_close((output, *found), (expected, *gradients))


def test_other_operators_raise_an_error_that_names_them():
    with pytest.raises(NotImplementedError, match=r'operator softnms .*OPERATORS=compiled'):
        fallback.softnms(torch.rand(1, 4), iou_threshold=0.5)
    with pytest.raises(NotImplementedError, match=r"pool_mode='max'.*OPERATORS=compiled"):
        align(torch.rand(1, 1, 4, 4), torch.rand(1, 5), pool_mode=0)
