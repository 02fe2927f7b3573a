"""docs/data.md names the files that configs read."""

import re

import pytest

from mmgcvit.config import read_config
from mmgcvit.datasets.checks.presence import local_paths
from mmgcvit.datasets.checks.sources import leaf_datasets

from ..conftest import ROOT


@pytest.mark.parametrize(
    'config',
    [
        'mask_rcnn_gcvit_t',
        'dino_gcvit_t_12e',
        'other_heads/mask2former_gcvit_t_panoptic',
        'upernet_gcvit_t',
        'gcvit_t_in1k',
        '_base_/datasets/imagenet_v2',
    ],
)
def test_the_page_names_what_a_config_reads(config):
    cfg = read_config(ROOT / 'configs' / f'{config}.py', {})
    loaders = [cfg[name] for name in ('train_dataloader', 'val_dataloader', 'test_dataloader') if name in cfg]
    read = {str(path) for loader in loaders for leaf in leaf_datasets(loader.dataset) for path in local_paths(leaf)}
    assert read
    assert read <= {*re.findall(r'`(data/[^`]+)`', (ROOT / 'docs' / 'data.md').read_text())}
