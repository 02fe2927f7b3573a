"""Error messages name missing packages, escape control characters and suggest similar names."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.errors import MissingPackageError, UserError, check_installed
from mmgcvit.export import EXPORT_PACKAGES
from mmgcvit.figures.gradcam import compute_gradcam

# By package: a function that needs it, the start of the error message, and the extra that installs it.
PACKAGE_USERS = {
    'onnxruntime': (lambda: check_installed('an export', *EXPORT_PACKAGES), 'an export', 'export'),
    'pytorch_grad_cam': (lambda: compute_gradcam(None, None), 'Grad-CAM', 'visualize'),
}


@pytest.mark.parametrize('name', PACKAGE_USERS)
def test_missing_package_error_has_the_pip_command(name, monkeypatch):
    function, feature, extra = PACKAGE_USERS[name]
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError) as error:
        function()
    assert str(error.value) == f"{feature} needs {name}, which is not installed. Run: pip install 'mmgcvit[{extra}]'"


def test_command_reports_a_missing_import_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pycocotools', None)
    monkeypatch.setattr(sys, 'argv', ['digits.py'])
    script = ModuleType('digits', 'A script.')
    script.__file__, script.add_options, script.main = 'digits.py', str, lambda args: import_module('pycocotools')
    with pytest.raises(SystemExit) as end:
        run_command(script)
    assert str(end.value).startswith(
        'digits: this command needs pycocotools, which is not installed. Run: pip install '
    )
    assert str(end.value).endswith("'mmgcvit[digits]'")


def test_control_characters_are_escaped():
    for text, printed in (('größer als C:\\x', 'größer als C:\\x'), ('a\x1b[2J', r'a\x1b[2J'), ('a\rb', r'a\rb')):
        assert str(UserError(text)) == printed
