"""Parts of graphs that stand for a host's: equal to it for any sizes, without an export."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.layers import multiclass_nms
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from mmengine.config import ConfigDict
from torch import nn

from mmgcvit.export.decoding import decoded
from mmgcvit.export.detector import Choice
from mmgcvit.export.padding import padded
from mmgcvit.export.pooling import TraceablePooling

sides = st.integers(1, 40)
seeds = st.integers(0, 2**31 - 1)


def boxes_of(*shape, generator):
    corners = torch.rand(*shape, 2, generator=generator) * 60
    return torch.cat([corners, corners + 1 + torch.rand(*shape, 2, generator=generator) * 40], dim=-1)


@given(height=sides, width=sides, bins=st.integers(1, 7))
@settings(deadline=None, max_examples=50)
def test_pooling_is_torchs(height, width, bins):
    x = torch.randn(2, 3, height, width)
    torch.testing.assert_close(TraceablePooling((bins, bins))(x), nn.AdaptiveAvgPool2d(bins)(x), atol=1e-5, rtol=1e-5)


@given(seed=seeds)
@settings(deadline=None, max_examples=30)
def test_decoding_is_the_hosts(seed):
    generator = torch.Generator().manual_seed(seed)
    coder = DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2))
    boxes, deltas = boxes_of(9, generator=generator), torch.randn(9, 4, generator=generator) * 5
    expected = coder.decode(boxes, deltas, max_shape=(50, 70))
    torch.testing.assert_close(decoded(boxes, deltas, coder, torch.tensor([50, 70])), expected, atol=1e-3, rtol=1e-5)


@given(seed=seeds, images=st.integers(1, 3), num_boxes=st.integers(1, 25), most=st.sampled_from([4, 100]))
@settings(deadline=None, max_examples=30)
def test_the_choice_is_the_hosts(seed, images, num_boxes, most):
    generator = torch.Generator().manual_seed(seed)
    nms = ConfigDict(type='nms', iou_threshold=0.5)
    boxes = boxes_of(images, num_boxes, 3, generator=generator)
    scores = torch.rand(images, num_boxes, 4, generator=generator)
    cfg = ConfigDict(score_thr=0.3, nms=nms, max_per_img=most)
    found = Choice(cfg)(boxes.transpose(1, 2), scores[..., :3].transpose(1, 2))
    for image in range(images):
        dets, labels = multiclass_nms(boxes[image].flatten(1), scores[image], 0.3, nms, most)
        ours = found[3] == image
        torch.testing.assert_close(found[0][ours], dets[:, :4])
        torch.testing.assert_close(found[1][ours], dets[:, 4])
        assert found[2][ours].tolist() == labels.tolist()


@pytest.mark.parametrize('shape', [(1, 3, 33, 64), (2, 3, 64, 32)])
def test_padding_adds_zeros_at_the_right_and_at_the_bottom(shape):
    images = torch.randn(shape)
    out = padded(images, 32)
    assert out.shape[2] % 32 == out.shape[3] % 32 == 0
    torch.testing.assert_close(out[..., : shape[2], : shape[3]], images)
    assert out.abs().sum() == images.abs().sum()
