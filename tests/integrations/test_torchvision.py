"""torchvision's detection models take a backbone through its feature pyramid: the same maps, and they train."""

import pytest
import torch
from torchvision.models.detection import FasterRCNN, MaskRCNN, RetinaNet
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from mmgcvit.integrations.torchvision import BackboneWithFPN
from mmgcvit.models.base import PyramidBackbone

from ..models.contract.backbones import BACKBONES
from .conftest import equal

SMALL = {'min_size': 64, 'max_size': 96, 'num_classes': 3}
# Of those with a second stage: as few proposals as make a step.
FEW = {'rpn_post_nms_top_n_train': 50, 'rpn_post_nms_top_n_test': 20, 'box_batch_size_per_image': 16}


def with_pyramid(name, detector):
    """A small backbone in a detector: finer levels than RetinaNet's are left out there, as in its own."""
    stages, extra_blocks = ((1, 2, 3), LastLevelP6P7(16, 16)) if detector is RetinaNet else ((0, 1, 2, 3), None)
    backbone = BACKBONES[name][0](out_indices=stages)
    return detector(BackboneWithFPN(backbone, 16, extra_blocks), **SMALL, **({} if detector is RetinaNet else FEW))


def targets_for(images):
    box = torch.tensor([[8.0, 8.0, 40.0, 48.0]])
    masks = torch.zeros(1, *images[0].shape[1:], dtype=torch.uint8)
    masks[:, 8:48, 8:40] = 1
    return [{'boxes': box, 'labels': torch.tensor([1]), 'masks': masks} for _ in images]


def test_the_pyramid_is_torchvisions_over_the_networks_own_maps(saved):
    backbone = PyramidBackbone.from_pretrained(saved.folder)
    model = BackboneWithFPN(backbone, out_channels=8).eval()
    with torch.no_grad():
        assert equal(model.body(saved.images), saved.maps)
        wanted = FeaturePyramidNetwork([len(found[0]) for found in saved.maps], 8).eval()
        wanted.load_state_dict(model.fpn.state_dict())
        wanted = wanted({str(i): found for i, found in enumerate(saved.maps)})
        found = model(saved.images)
    assert list(found) == [*wanted, 'pool']
    assert equal([found[name] for name in wanted], list(wanted.values()))


@pytest.mark.parametrize(('detector', 'name'), [(FasterRCNN, 'gcvit'), (MaskRCNN, 'lsa'), (RetinaNet, 'gcvit')])
def test_a_detector_trains_and_predicts(detector, name):
    """A step with gradients for all of the backbone, which it changes; then boxes inside of the images."""
    model = with_pyramid(name, detector)
    images = [torch.rand(3, 64, 80), torch.rand(3, 72, 64)]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = [parameter.clone() for parameter in model.backbone.body.parameters()]
    loss = sum(model(images, targets_for(images)).values())
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert all(bool(p.grad.isfinite().all()) for p in model.backbone.parameters())
    changed = [not torch.equal(*pair) for pair in zip(model.backbone.body.parameters(), before, strict=True)]
    assert sum(changed) > len(changed) / 2  # steps of small gradients are below the resolution of large weights
    with torch.no_grad():
        predictions = model.eval()(images)
    for image, found in zip(images, predictions, strict=True):
        height, width = image.shape[1:]
        assert found['boxes'].shape[1:] == (4,)
        assert not len(found['boxes']) or (
            found['boxes'].min() >= 0 and bool((found['boxes'].amax(0) <= torch.tensor([width, height] * 2)).all())
        )
