"""The published networks have the authors' parameters, and compute the outputs of the authors' code."""

import pytest
import torch
from torch import nn

from mmgcvit import LSA
from mmgcvit.models.lsa import ARCHS
from tools.get_flops import count_parameters

from ...reference import LSA_REFERENCES, REFERENCES


def test_parameters_of_a_published_ablation_to_the_digit():
    """Row E of table 5: one position embedding, all key/value heads. A classifier has the last map's norm and a head.

    The metafiles have the parameters of all other published networks.
    """
    with torch.device('meta'):
        backbone = LSA({**vars(ARCHS['cifar-tiny']), 'shared_position': True, 'num_kv_heads': None})
        head = nn.Linear(backbone.stage_dims[-1], 10)
    norms = 2 * sum(backbone.stage_dims[:-1])
    assert count_parameters(backbone) - norms + count_parameters(head) == 7_577_674


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
