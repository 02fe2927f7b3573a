"""Backbones with torchvision's FPN have the right feature maps, and detection models train with them."""

import pytest
import torch
from torchvision.models.detection import FasterRCNN, MaskRCNN, RetinaNet
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from mmgcvit.integrations.torchvision import BackboneWithFPN
from mmgcvit.models.base import PyramidBackbone

from ..models.contract.backbones import BACKBONES

SMALL = {'min_size': 64, 'max_size': 96, 'num_classes': 3}


@pytest.mark.parametrize('name', ['gcvit', 'lsa'])
def test_feature_maps_equal_those_of_torchvisions_fpn_on_a_loaded_backbone(name, tmp_path):
    backbone, images = BACKBONES[name][0]().eval(), torch.rand(2, 3, 75, 101)
    backbone.save_pretrained(tmp_path / name)
    model = BackboneWithFPN(PyramidBackbone.from_pretrained(tmp_path / name), out_channels=8).eval()
    pyramid = FeaturePyramidNetwork(backbone.stage_dims, 8).eval()
    pyramid.load_state_dict(model.fpn.state_dict())
    with torch.no_grad():
        wanted = pyramid({str(level): found for level, found in enumerate(backbone(images))})
        found = model(images)
    assert list(found) == [*wanted, 'pool']
    assert all(torch.equal(found[level], wanted[level]) for level in wanted)


@pytest.mark.parametrize(('detector', 'name'), [(FasterRCNN, 'gcvit'), (MaskRCNN, 'lsa'), (RetinaNet, 'gcvit')])
def test_a_detector_trains_and_predicts(detector, name):
    """All parameters of the backbone get finite gradients, and predicted boxes are inside the images."""
    is_one_stage = detector is RetinaNet
    stages, extra_blocks = ((1, 2, 3), LastLevelP6P7(16, 16)) if is_one_stage else ((0, 1, 2, 3), None)
    few = {} if is_one_stage else {'rpn_post_nms_top_n_train': 50, 'rpn_post_nms_top_n_test': 20}
    model = detector(BackboneWithFPN(BACKBONES[name][0](out_indices=stages), 16, extra_blocks), **SMALL, **few)
    images = [torch.rand(3, 64, 80), torch.rand(3, 72, 64)]
    box = torch.tensor([[8.0, 8.0, 40.0, 48.0]])
    masks = [torch.zeros(1, *image.shape[1:], dtype=torch.uint8) for image in images]
    for mask in masks:
        mask[:, 8:48, 8:40] = 1
    targets = [{'boxes': box, 'labels': torch.tensor([1]), 'masks': mask} for mask in masks]
    sum(model(images, targets).values()).backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.backbone.parameters())
    with torch.no_grad():
        predictions = model.eval()(images)
    for image, found in zip(images, predictions, strict=True):
        sides = torch.tensor([image.shape[2], image.shape[1]] * 2)
        assert ((found['boxes'] >= 0) & (found['boxes'] <= sides)).all()
