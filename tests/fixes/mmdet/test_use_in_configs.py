"""Modules: `mmgcvit/fixes/mmdet`, `configs`."""

from mmengine.config import Config

from mmgcvit.fixes import mmdet as mmdet_fixes
from mmgcvit.host.config import iter_dicts

from ...conftest import ROOT


def test_configs_use_these_modules_instead_of_mmdets():
    ours = {name for name, kind in vars(mmdet_fixes).items() if isinstance(kind, type)}
    for name in ('*rcnn*', 'cascade*', 'custom_coco', 'dino*', 'other_heads/*'):
        for path in (ROOT / 'configs').glob(f'{name}.py'):
            types = {part.get('type') for part in iter_dicts(Config.fromfile(path).model)}
            assert not ours & types, path
