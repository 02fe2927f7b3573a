"""The fallback operators are found where mmcv has no compiled ones, once mmgcvit is imported."""

import sys
from types import SimpleNamespace

import pytest

from mmgcvit.ops import compiled
from mmgcvit.ops.finder import COMPILED, FALLBACK, FallbackFinder

from ..programs import ROOT, run

MMDETS_SCRIPT = """
import sys
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmdet.utils import setup_cache_size_limit_of_dynamo

assert 'mmcv.ops' not in sys.modules
cfg = Config.fromfile('tests/data/configs/detect.py')
init_default_scope(cfg.default_scope)
MODELS.build(cfg.model)
import mmcv.ops
print(mmcv.ops.nms.__module__)
"""


def test_the_fallback_is_found_once_mmcvs_operators_are_imported(monkeypatch):
    """mmengine's mmcv_full_available() is False until then."""
    finder = FallbackFinder()
    monkeypatch.delitem(sys.modules, 'mmcv.ops', raising=False)
    assert finder.find_spec(COMPILED) is None
    monkeypatch.setitem(sys.modules, 'mmcv.ops', SimpleNamespace())
    assert finder.find_spec(COMPILED).origin == str(FALLBACK)
    assert finder.find_spec('mmcv.other') is None


def test_real_modules_are_found_first():
    position = next(position for position, finder in enumerate(sys.meta_path) if isinstance(finder, FallbackFinder))
    assert not any(type(finder).__module__ == '_frozen_importlib_external' for finder in sys.meta_path[position:])


def test_compiled_operators_are_known_from_the_fallback(monkeypatch, tmp_path):
    for origin, expected in ((tmp_path / 'mmcv' / '_ext.so', True), (FALLBACK, False)):
        monkeypatch.setattr(compiled, 'find_spec', lambda name, origin=origin: SimpleNamespace(origin=origin))
        assert compiled.are_compiled() == expected


@pytest.mark.long
def test_mmdets_own_training_script_gets_operators_by_the_configs_custom_imports():
    """It reads the config, and with it mmgcvit, before it imports a model and mmcv.ops."""
    ended = run([sys.executable, '-W', 'ignore', '-c', MMDETS_SCRIPT], cwd=ROOT)
    assert ended.stdout.splitlines()[-1:] == ['mmcv.ops.nms'], ended.stderr
