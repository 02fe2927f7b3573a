"""The smoke test scales every config down."""

import re

import pytest
from mmengine.config import Config

from mmgcvit.config import LOADERS, iter_dicts, iter_unwrapped_datasets
from tools import smoke_config

from ..conftest import ROOT

CONFIGS = ROOT / 'configs'


@pytest.mark.slow
def test_every_config_is_scaled_down(tmp_path):
    """Images and training are small, and no pretrained weights are loaded."""
    paths = [path for folder in ('', 'demo', 'baselines', 'ablations') for path in (CONFIGS / folder).glob('*.py')]
    assert len(paths) > 70
    wrong = {}
    for path in paths:
        (tmp_path / 'data').mkdir(exist_ok=True)
        smoke_config.main(path, tmp_path, '8', 'miniature')
        cfg = Config.fromfile(tmp_path / 'config.py')
        leaves = [leaf for name in LOADERS for leaf in iter_unwrapped_datasets(cfg[name].dataset)]
        sizes = iter_dicts([leaf.pipeline for leaf in leaves], cfg.model.get('data_preprocessor') or {})
        text = str([settings.get(key) for settings in sizes for key in smoke_config.SIZE_KEYS])
        holds = {
            'iterations': cfg.train_cfg.get('max_iters', 2) == 2 and cfg.train_cfg.get('max_epochs', 1) == 1,
            'batches': [cfg[name].batch_size for name in LOADERS] == [2, 1, 1],
            'pixels': all(int(side) <= 4200 // 8 for side in re.findall(r'(?<![.\d])\d+(?![.\d])', text)),
            'weights': "'Pretrained'" not in str(cfg.model),
            'schedule': all('end' in scheduler for scheduler in cfg.get('param_scheduler') or []),
        }
        wrong[path.stem] = [what for what, is_so in holds.items() if not is_so]
    assert {name: found for name, found in wrong.items() if found} == {}
