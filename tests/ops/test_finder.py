"""The fallback operators are found where mmcv has no compiled ones, once mmgcvit is imported."""

import sys
from importlib.machinery import PathFinder
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
    is_own = [type(finder).__module__.startswith('mmgcvit') for finder in sys.meta_path]
    assert is_own.index(True) > sys.meta_path.index(PathFinder)
