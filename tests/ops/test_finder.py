"""The fallback operators are found where mmcv has no compiled ones, once mmgcvit is imported."""

import sys
from types import SimpleNamespace

from mmgcvit.ops.finder import COMPILED_MODULE, FALLBACK_FILE, FallbackFinder


def test_importing_mmcvs_operators_finds_the_fallback(monkeypatch):
    """mmengine's mmcv_full_available() is False until then."""
    finder = FallbackFinder()
    monkeypatch.delitem(sys.modules, 'mmcv.ops', raising=False)
    assert finder.find_spec(COMPILED_MODULE) is None
    monkeypatch.setitem(sys.modules, 'mmcv.ops', SimpleNamespace())
    assert finder.find_spec(COMPILED_MODULE).origin == str(FALLBACK_FILE)
    assert finder.find_spec('mmcv.other') is None


def test_python_asks_this_packages_finder_last():
    """So compiled modules take precedence, and imports of other packages are as without it."""
    modules = [getattr(finder, '__module__', type(finder).__module__) for finder in sys.meta_path]
    is_own = [module.startswith('mmgcvit') for module in modules]
    first = modules.index('_frozen_importlib_external')
    assert is_own.index(True) > first
    assert not any(is_own[: first + 1])
