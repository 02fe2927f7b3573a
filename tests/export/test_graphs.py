"""Models that cannot be exported are rejected; test_files.py compares those that can.

Attention by gathering equals mmcv's.
"""

from types import SimpleNamespace

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
from mmdet.models import DINOHead
from mmdet.models.task_modules import TBLRBBoxCoder
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.datasets import transforms
from mmseg.models import EncoderDecoder
from torch import nn

from mmgcvit.errors import UserError
from mmgcvit.export.deformable_attention import attend_by_gathering
from mmgcvit.export.dino_graph import DINOGraph
from mmgcvit.export.graphs import SegmentorGraph
from mmgcvit.export.mask2former_graph import Mask2FormerGraph
from mmgcvit.export.onnx_file import describe_preprocessing
from mmgcvit.export.rtmdet_graph import RTMDetInsGraph
from mmgcvit.export.two_stage_graph import TwoStageGraph

from ..tools.commands import CONFIGS, DEMO


class FCOS(nn.Module):
    """A module with the name of a detector that cannot be exported."""


def test_detectors_with_unsupported_parts_are_rejected():
    with DefaultScope.overwrite_default_scope('mmdet'):
        detector = MODELS.build(Config.fromfile(CONFIGS / 'cascade_lsa.py').model)
    TwoStageGraph(detector)
    with pytest.raises(UserError, match=r'detector of type FCOS\. Export supports mmdet'):
        TwoStageGraph(FCOS())
    detector.roi_head.mask_head[0] = FCOS()
    detector.test_cfg.rcnn.nms.type = 'soft_nms'
    with pytest.raises(UserError, match=r'with FCOS, NMS .*soft_nms.*\. Export supports mmdet'):
        TwoStageGraph(detector)


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'test_cfg': ConfigDict(mode='slide')}, 'mode slide'),
        (
            {'data_preprocessor': SimpleNamespace(test_cfg={'size': (512, 512)})},
            r'padding to \(512, 512\)',
        ),
        ({'decode_head': SimpleNamespace(out_channels=1)}, 'SimpleNamespace'),
        ({'decode_head': SimpleNamespace(out_channels=2, pixel_decoder=None)}, 'SimpleNamespace'),
    ],
)
def test_unsupported_segmentors_are_rejected(changes, named):
    model = EncoderDecoder.__new__(EncoderDecoder)
    vars(model).update(
        test_cfg=ConfigDict(mode='whole'),
        data_preprocessor=SimpleNamespace(test_cfg=None),
        decode_head=SimpleNamespace(out_channels=2),
    )
    vars(model).update(changes)
    with pytest.raises(UserError, match=rf'with {named}\. Export supports EncoderDecoder with a'):
        SegmentorGraph(model)


def test_segmentors_of_other_classes_are_rejected():
    class OtherSegmentor(EncoderDecoder):
        """It may predict in another way."""

    model = OtherSegmentor.__new__(OtherSegmentor)
    vars(model).update(
        test_cfg=ConfigDict(mode='whole'),
        data_preprocessor=SimpleNamespace(test_cfg=None),
        decode_head=SimpleNamespace(out_channels=2),
    )
    with pytest.raises(UserError, match=r'with OtherSegmentor\. Export supports EncoderDecoder'):
        SegmentorGraph(model)


def test_the_test_pipeline_is_described_or_rejected():
    resize = transforms.Resize((128, 96), keep_ratio=True)
    expected = {'scale': (128, 96), 'keep_ratio': True, 'edge': '', 'crop': None}
    expected |= {'interpolation': 'bilinear', 'backend': 'cv2'}
    assert describe_preprocessing([resize, transforms.PackInputs()]) == expected
    steps = [
        transforms.ResizeEdge(256, 'long', backend='pillow', interpolation='bicubic'),
        transforms.CenterCrop((200, 224)),
    ]
    expected = {'scale': (256, 256), 'keep_ratio': True, 'edge': 'long', 'crop': (200, 224)}
    expected |= {'interpolation': 'bicubic', 'backend': 'pillow'}
    assert describe_preprocessing(steps) == expected
    for steps, words in (
        ([resize, transforms.RandomFlip(1.0)], 'has the step RandomFlip'),
        ([transforms.PackInputs()], 'neither Resize nor ResizeEdge'),
        ([transforms.Resize(scale_factor=0.5)], 'has the step Resize, which cannot be exported'),
    ):
        with pytest.raises(UserError, match=words):
            describe_preprocessing(steps)


def test_dino_with_another_head_is_rejected():
    head = FCOS()
    head.loss_cls = SimpleNamespace(use_sigmoid=True)
    detector = SimpleNamespace(bbox_head=head)
    with pytest.raises(
        UserError, match=r'SimpleNamespace with FCOS .* supports DINO with DINOHead'
    ):
        DINOGraph(detector)


def test_dino_with_a_head_that_only_trains_differently_is_accepted():
    class OtherLossHead(DINOHead):
        """A head with a loss of its own."""

        def loss_by_feat(self, *args, **kwargs):
            """Return no loss."""

    with DefaultScope.overwrite_default_scope('mmdet'):
        detector = MODELS.build(Config.fromfile(CONFIGS / 'dino.py').model)
    detector.bbox_head.__class__ = OtherLossHead
    DINOGraph(detector)


@pytest.mark.parametrize('settings', [{}, {'panoptic_on': True, 'instance_on': False}])
def test_mask2former_without_instances_is_rejected(settings):
    detector = SimpleNamespace(test_cfg=ConfigDict(settings))
    with pytest.raises(UserError, match=r'no instances .*set test_cfg\.instance_on=True'):
        Mask2FormerGraph(detector)


@pytest.mark.parametrize('settings', [{}, {'panoptic_on': True}])
def test_mask2former_with_instances_and_panoptic_segmentation_warns(settings):
    """mmdet's default of panoptic_on is True."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        cfg = Config.fromfile(DEMO / 'mask2former_gcvit_digits.py').model
        cfg.test_cfg.pop('panoptic_on')
        cfg.test_cfg.update(settings)
        detector = MODELS.build(cfg)
    with pytest.warns(UserWarning, match=r'panoptic .* is not exported'):
        Mask2FormerGraph(detector)


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        ({'nms': {'type': 'soft_nms', 'iou_threshold': 0.6}}, 'NMS .*soft_nms.*'),
        ({'bbox_coder': TBLRBBoxCoder()}, 'TBLRBBoxCoder'),
        ({'use_sigmoid_cls': False}, 'loss_cls.use_sigmoid=False'),
    ],
)
def test_rtmdet_ins_with_unsupported_parts_is_rejected(settings, named):
    with DefaultScope.overwrite_default_scope('mmdet'):
        cfg = Config.fromfile(DEMO / 'rtmdet_ins_gcvit_digits.py').model
        detector = MODELS.build(cfg)
    RTMDetInsGraph(detector)
    for name, value in settings.items():
        if name == 'nms':
            detector.test_cfg.nms = ConfigDict(value)
        else:
            setattr(detector.bbox_head, name, value)
    with pytest.raises(UserError, match=rf'RTMDet-Ins with {named}\. Export supports plain NMS'):
        RTMDetInsGraph(detector)


def test_gathering_equals_grid_sample_inside_and_outside_of_maps_of_any_size():
    sizes = [(7, 5), (3, 4), (1, 2), (2, 1), (1, 1)]
    num_pixels = sum(height * width for height, width in sizes)
    value = torch.randn(2, num_pixels, 4, 8, dtype=torch.float64)
    locations = 3 * torch.rand(2, 50, 4, len(sizes), 3, 2, dtype=torch.float64) - 1
    # Corners of the map, and of the image of its size beside it.
    locations[:, :2] = locations[:, :2].round()
    weights = torch.rand(2, 50, 4, len(sizes), 3, dtype=torch.float64)
    found = attend_by_gathering(value, torch.tensor(sizes), locations, weights)
    expected = multi_scale_deformable_attn_pytorch(value, sizes, locations, weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
