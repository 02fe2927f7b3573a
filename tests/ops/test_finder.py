"""The fallback operators are found where mmcv has no compiled ones, once mmgcvit is imported."""

import sys
from types import SimpleNamespace

import pytest

from mmgcvit.ops import compiled
from mmgcvit.ops.finder import COMPILED_MODULE, FALLBACK_FILE, FallbackFinder

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


def test_importing_mmcvs_operators_finds_the_fallback(monkeypatch):
    """mmengine's mmcv_full_available() is False until then."""
    finder = FallbackFinder()
    monkeypatch.delitem(sys.modules, 'mmcv.ops', raising=False)
    assert finder.find_spec(COMPILED_MODULE) is None
    monkeypatch.setitem(sys.modules, 'mmcv.ops', SimpleNamespace())
    assert finder.find_spec(COMPILED_MODULE).origin == str(FALLBACK_FILE)
    assert finder.find_spec('mmcv.other') is None


def test_compiled_modules_take_precedence():
    position = next(position for position, finder in enumerate(sys.meta_path) if isinstance(finder, FallbackFinder))
    assert not any(type(finder).__module__ == '_frozen_importlib_external' for finder in sys.meta_path[position:])


def test_compiled_operators_are_told_from_the_fallback(monkeypatch, tmp_path):
    for origin, expected in ((tmp_path / 'mmcv' / '_ext.so', True), (FALLBACK_FILE, False)):
        monkeypatch.setattr(compiled, 'find_spec', lambda name, origin=origin: SimpleNamespace(origin=origin))
        assert compiled.are_compiled() == expected


@pytest.mark.long
def test_mmdets_training_script_gets_operators_through_custom_imports():
    """It reads the config, and with it mmgcvit, before it imports a model and mmcv.ops."""
    ended = run([sys.executable, '-W', 'ignore', '-c', MMDETS_SCRIPT], cwd=ROOT)
    assert ended.stdout.splitlines()[-1:] == ['mmcv.ops.nms'], ended.stderr
