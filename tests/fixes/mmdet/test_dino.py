"""DINO has the weights of mmdet's."""

import pytest

from tools.get_flops import count_parameters

from ...configs.models import ENTRIES, build_on_meta, read
from ...conftest import ROOT


@pytest.mark.parametrize('name', [name for name in ENTRIES if 'dino_' in name])
def test_dino_with_resnet_50_has_the_state_dict_of_mmdet(name):
    """With both distributions of mmdet. DINO's outputs: checkpoints/test_dino.py.

    tests/data/dino_r50_mmdet.txt has names and shapes of the weights of mmdet 3.3.0's
    dino-4scale_r50_8xb2-12e_coco, without the backbone's.
    """
    cfg = read(name)
    cfg.model.backbone = {'type': 'ResNet', 'depth': 50}
    cfg.model.neck.in_channels = [512, 1024, 2048]
    model = build_on_meta(cfg)
    lines = [
        f'{name} {tuple(x.shape)}'
        for name, x in model.state_dict().items()
        if not name.startswith('backbone')
    ]
    assert lines == (ROOT / 'tests/data/dino_r50_mmdet.txt').read_text().splitlines()
    assert count_parameters(model) == 47_702_412
