"""GC ViT is the published network: parameter counts to the digit, outputs of the original implementation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import from_original_gcvit

DATA = Path(__file__).parent.parent / 'data'

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
# fixture: (window_size, layer_scale)
DENSE_FIXTURES = {
    'gcvit_dense_pretrain_windows': ((7, 7, 14, 7), None),
    'gcvit_dense_window24_odd_size': (24, 1e-5),
    'gcvit_dense_window16_tall': (16, None),
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


@pytest.mark.parametrize('name', DENSE_FIXTURES)
def test_dense_maps_of_the_original_implementation_within_2e_5(name):
    """Weights in the original's layout, tables of 7, 7, 14, 7 resized where the windows are others."""
    data = np.load(DATA / f'{name}.npz')
    window_size, layer_scale = DENSE_FIXTURES[name]
    arch = {
        'embed_dims': 8,
        'depths': (2, 2, 3, 1),
        'num_heads': (1, 2, 4, 8),
        'mlp_ratio': 3,
        'layer_scale': layer_scale,
    }
    model = GCViT(arch, window_size=window_size).eval()
    weights = {key[2:]: torch.from_numpy(data[key]).float() for key in data if key.startswith('w:')}
    model.load_state_dict(from_original_gcvit(weights), strict=True)
    with torch.no_grad():
        maps = model(torch.from_numpy(data['image']).float())
    for i, found in enumerate(maps):
        torch.testing.assert_close(found, torch.from_numpy(data[f'out{i}']), atol=2e-5, rtol=0)
