"""The published networks have the authors' parameters, and compute the outputs of the authors' code."""

import pytest
import torch
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.models.lsa import ARCHS
from tools.get_flops import count_parameters

from ...reference import LSA_REFERENCES, REFERENCES

# Network, arch, classes and parameters of the classifier; ablations.md has those of the papers' ablations.
CLASSIFIERS = [
    (GCViT, 'xxtiny', 1000, 11_995_428),
    (GCViT, 'xtiny', 1000, 19_981_294),
    (GCViT, 'tiny', 1000, 28_221_974),
    (GCViT, 'tiny2', 1000, 34_535_654),
    (GCViT, 'small', 1000, 51_092_173),
    (GCViT, 'small2', 1000, 68_615_197),
    (GCViT, 'base', 1000, 90_320_836),
    (GCViT, 'large', 1000, 202_075_570),
    (LSA, 'imagenet-tiny', 1000, 9_725_608),
    (LSA, 'imagenet-small', 1000, 22_145_320),
    (LSA, 'cifar-tiny', 10, 10_228_298),
    (LSA, 'cifar-small', 10, 36_216_970),
    (LSA, 'cifar-base', 10, 115_772_170),
    # Row E of table 5 as published: one position embedding, all key/value heads.
    (LSA, {**vars(ARCHS['cifar-tiny']), 'shared_position': True, 'num_kv_heads': None}, 10, 7_577_674),
]


def test_parameters_of_classifiers_to_the_digit():
    """A classifier has the last map's norm only, and a head."""
    for network, arch, classes, parameters in CLASSIFIERS:
        with torch.device('meta'):
            backbone = network(arch)
            head = nn.Linear(backbone.stage_dims[-1], classes)
        norms = 2 * sum(backbone.stage_dims[:-1])
        assert count_parameters(backbone) - norms + count_parameters(head) == parameters, arch


@pytest.mark.parametrize('with_gradients', [False, True])
@pytest.mark.parametrize('reference', [*REFERENCES, *LSA_REFERENCES], ids=lambda reference: reference.name)
def test_outputs_of_the_authors_implementation_within_2e_5(reference, with_gradients, tmp_path, device):
    """``init_cfg`` names a checkpoint with the authors' keys. Bias tables are resized to other windows."""
    weights, checkpoint = reference.weights(), str(tmp_path / 'original.pth.tar')
    torch.save({'state_dict': weights}, checkpoint)
    model = reference.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': checkpoint})
    model.init_weights()
    with torch.set_grad_enabled(with_gradients):
        found = [found.cpu() for found in model.to(device)(reference.image().to(device))]
    head = next((name.removesuffix('.weight') for name in ('head.weight', 'mlp_head.weight') if name in weights), None)
    if head is not None:
        found = [found[0].mean((2, 3)) @ weights[f'{head}.weight'].T + weights[f'{head}.bias']]
    for ours, theirs in zip(found, reference.outputs(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
