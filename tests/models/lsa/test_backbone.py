"""Test LSA's published figures. What every backbone must do is in tests/models/contract."""

import pytest
import torch
from torch import nn

from mmgcvit import LSA
from tools.get_flops import count_macs, count_parameters

from .plain import PlainLSA


@pytest.mark.parametrize(('arch', 'published'), [('imagenet-tiny', 3.43), ('imagenet-small', 7.69)])
def test_multiply_adds_of_the_plain_formulation_at_224_px_are_the_published(arch, published):
    """In billions, within 0.5 %. The metafiles have what the commands compute."""
    with torch.device('meta'):
        model = PlainLSA(LSA(arch).eval())
        image = torch.empty(1, 3, 224, 224)
    assert count_macs(lambda: model(image)) / 1e9 == pytest.approx(published, rel=0.005)


def test_parameters_of_a_published_ablation_to_the_digit():
    """Row E of table 5: one position embedding, all key/value heads. A classifier has the last
    map's norm and a head.

    The metafiles have the parameters of all other published networks.
    """
    with torch.device('meta'):
        backbone = LSA(
            {**vars(LSA.archs['cifar-tiny']), 'shared_position': True, 'num_kv_heads': None}
        )
        head = nn.Linear(backbone.stage_dims[-1], 10)
    norms = 2 * sum(backbone.stage_dims[:-1])
    assert count_parameters(backbone) - norms + count_parameters(head) == 7_577_674


@pytest.mark.parametrize('name', ['imagenet-tiny', 'imagenet-small', 'cifar-tiny'])
@pytest.mark.parametrize('size', [(97, 203), (203, 97)])
def test_each_stage_has_an_embedding_for_each_position_of_an_oblong_image(name, size):
    with torch.device('meta'):
        model = LSA(name, pretrain_img_size=size)
        maps = model(torch.empty(1, 3, *size))
    assert [stage.position.grid for stage in model.stages] == [x.shape[2:] for x in maps]
