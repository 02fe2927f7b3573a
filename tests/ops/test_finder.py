"""The fallback operators are found where mmcv has no compiled ones, once mmgcvit is imported."""

import os
import sys
from importlib import import_module, reload
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmgcvit import device
from mmgcvit.ops.finder import COMPILED_MODULE, FALLBACK_FILE, FallbackFinder, TaskPackageFinder

from ..programs import ROOT, run


def test_importing_mmcvs_operators_finds_the_fallback(monkeypatch):
    """mmengine's mmcv_full_available() is False until then."""
    finder = FallbackFinder()
    monkeypatch.delitem(sys.modules, 'mmcv.ops', raising=False)
    assert finder.find_spec(COMPILED_MODULE) is None
    monkeypatch.setitem(sys.modules, 'mmcv.ops', SimpleNamespace())
    assert finder.find_spec(COMPILED_MODULE).origin == str(FALLBACK_FILE)
    assert finder.find_spec('mmcv.other') is None


def test_compiled_modules_take_precedence():
    position = next(
        position
        for position, finder in enumerate(sys.meta_path)
        if isinstance(finder, FallbackFinder)
    )
    assert not any(
        type(finder).__module__ == '_frozen_importlib_external'
        for finder in sys.meta_path[position:]
    )


def test_compiled_operators_are_told_from_the_fallback(monkeypatch, tmp_path):
    for origin, expected in ((tmp_path / 'mmcv' / '_ext.so', True), (FALLBACK_FILE, False)):
        monkeypatch.setattr(
            device, 'find_spec', lambda name, origin=origin: SimpleNamespace(origin=origin)
        )
        assert device.are_operators_compiled() == expected


# By a module's content: what importing it raises, at the first and each later time.
ERRORS = {
    "raise TypeError('first\\nsecond')": 'MissingPackageError: mmseg.models cannot be imported (TypeError: first). ',
    'import no_such': 'MissingPackageError: mmseg.models cannot be imported (ModuleNotFoundError: No module named ',
    'x =': 'MissingPackageError: mmseg.models cannot be imported (SyntaxError: invalid syntax (heads.py, line 1)). ',
    "raise ImportError('undefined symbol', name='_ext')": (
        "MissingPackageError: mmcv's operators do not load (undefined symbol). They were compiled "
        'for another version'
    ),
    'raise KeyboardInterrupt': 'KeyboardInterrupt: ',
}
IMPORTS = """
import mmgcvit
for name in ('mmseg.models', 'mmseg.models', 'my_module', 'mmseg.registry'):
    try:
        __import__(name)
    except BaseException as error:
        print(f'{type(error).__name__}: {error}')
"""


@pytest.mark.parametrize('content', ERRORS)
def test_failed_import_raises_the_same_error_again_without_executing_the_module(content, tmp_path):
    files = {
        'models/__init__': "print('executed')\nfrom . import heads",
        'models/heads': content,
        'registry': '',
    }
    for name, text in ({'../my_module': '{}[1]', '__init__': ''} | files).items():
        path = tmp_path / 'mmseg' / f'{name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ended = run(
        [sys.executable, '-W', 'ignore', '-c', IMPORTS],
        os.environ | {'PYTHONPATH': f'{tmp_path}:{ROOT}'},
    )
    executed, first, *second, other = ended.stdout.splitlines()
    assert first.startswith(ERRORS[content])
    is_interrupted = content == 'raise KeyboardInterrupt'
    assert (executed, second, other) == (
        'executed',
        [executed, first] if is_interrupted else [first],
        'KeyError: 1',
    )


def test_module_that_can_be_imported_is_as_without_the_finder():
    spec = TaskPackageFinder().find_spec('mmseg')
    assert spec.loader.get_source('mmseg') == Path(spec.origin).read_text()
    for module in (import_module('mmseg.version'), reload(sys.modules['mmseg.version'])):
        assert type(module.__loader__) is type(module.__spec__.loader) is SourceFileLoader
