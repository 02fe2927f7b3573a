"""GC ViT is the published network: parameter counts to the digit, outputs of the original implementation."""

import pytest
import torch

from mmgcvit import GCViT

from ...reference import REFERENCES

BACKBONE_PARAMETERS = {
    'xxtiny': 11_483_324,
    'xtiny': 19_469_190,
    'tiny': 27_709_870,
    'tiny2': 34_023_550,
    'small': 50_324_517,
    'small2': 67_847_541,
    'base': 89_297_628,
    'large': 200_541_258,
}
CLASSIFIER_PARAMETERS = {
    'xxtiny': 11_995_428,
    'xtiny': 19_981_294,
    'tiny': 28_221_974,
    'tiny2': 34_535_654,
    'small': 51_092_173,
    'small2': 68_615_197,
    'base': 90_320_836,
    'large': 202_075_570,
}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize('arch', BACKBONE_PARAMETERS)
def test_parameters_of_the_backbone_to_the_digit(arch):
    with torch.device('meta'):
        assert count(GCViT(arch)) == BACKBONE_PARAMETERS[arch]


@pytest.mark.parametrize('arch', CLASSIFIER_PARAMETERS)
def test_parameters_of_the_classifier_to_the_digit(arch):
    with torch.device('meta'):
        backbone = GCViT(arch, out_indices=(3,))
        head = torch.nn.Linear(backbone.norm3.normalized_shape[0], 1000)
        assert count(backbone) + count(head) == CLASSIFIER_PARAMETERS[arch]


@pytest.mark.parametrize('reference', REFERENCES, ids=lambda reference: reference.name)
def test_outputs_of_the_original_implementation_within_2e_5(reference, tmp_path, device):
    """From a checkpoint in the original's layout, named in ``init_cfg``; tables resized to other windows."""
    torch.save({'state_dict': reference.weights()}, tmp_path / 'original.pth.tar')
    model = reference.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'original.pth.tar')})
    model.init_weights()
    with torch.no_grad():
        found = [found.cpu() for found in model.to(device)(reference.image().to(device))]
    if reference.is_classifier:
        weights = reference.weights()
        found = [found[0].mean((2, 3)) @ weights['head.weight'].T + weights['head.bias']]
    for ours, theirs in zip(found, reference.outputs(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
