"""Error messages name missing packages, escape control characters and suggest similar names."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.errors import MissingPackageError, UserError
from mmgcvit.figures.gradcam_maps import compute_gradcam


def test_a_missing_import_is_reported_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    monkeypatch.setitem(sys.modules, 'pycocotools', None)
    with pytest.raises(
        MissingPackageError, match=r"needs pytorch_grad_cam, .*pip install 'mmgcvit\[visualize"
    ):
        compute_gradcam(None, None)
    monkeypatch.setattr(sys, 'argv', ['digits.py'])
    script = ModuleType('digits', 'A script.')
    script.__file__, script.add_options, script.main = (
        'digits.py',
        str,
        lambda args: import_module('pycocotools'),
    )
    with pytest.raises(SystemExit) as end:
        run_command(script)
    assert str(end.value).startswith(
        'digits: this command needs pycocotools, which is not installed. Run: pip install '
    )
    assert str(end.value).endswith("'mmgcvit[digits]'")


def test_control_characters_are_escaped():
    for text, printed in (
        ('größer als C:\\x', 'größer als C:\\x'),
        ('a\x1b[2J', r'a\x1b[2J'),
        ('a\rb', r'a\rb'),
    ):
        assert str(UserError(text)) == printed
