"""Messages print as they are meant, do nothing else to a terminal, and name what was probably meant."""

import sys

import pytest

from mmgcvit.commands.demo import check_digits
from mmgcvit.commands.main import run_command
from mmgcvit.errors import MissingPackageError, UserError, suggest
from mmgcvit.export import check_onnx
from mmgcvit.inference.tracking import Tracker
from mmgcvit.visualization import gradcam

# What needs a package, and how the sentence begins that says so.
NEEDING = {
    'sklearn': (check_digits, 'writing the digits', 'digits'),
    'onnxruntime': (check_onnx, 'an export', 'export'),
    'lap': (Tracker, 'tracking', 'track'),
    'pytorch_grad_cam': (lambda: gradcam(None, None), 'Grad-CAM', 'visualize'),
}


@pytest.mark.parametrize('name', NEEDING)
def test_a_missing_package_is_a_sentence_with_the_call_of_pip(name, monkeypatch):
    call, what, extra = NEEDING[name]
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError) as refusal:
        call()
    assert str(refusal.value) == f"{what} needs {name}, not installed here: pip install 'mmgcvit[{extra}]'"


def test_a_command_says_so_of_what_it_imports(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pycocotools', None)
    monkeypatch.delitem(sys.modules, 'mmgcvit.datasets.digits', raising=False)
    with pytest.raises(SystemExit) as end:
        run_command('digits', [tmp_path / 'digits'])
    assert str(end.value) == "digits: this needs pycocotools, not installed here: pip install 'mmgcvit[digits]'"


def test_control_characters_of_names_are_escaped():
    for text, printed in (('größer als C:\\x', 'größer als C:\\x'), ('a\x1b[2J', r'a\x1b[2J'), ('a\rb', r'a\rb')):
        assert str(UserError(text)) == printed


@pytest.mark.parametrize(
    ('given', 'asked'),
    [
        *((name, '; did you mean tiny?') for name in ('tinny', 'TINY', 'gcvit_tiny')),
        *(('base-', '; did you mean Base?'), ('resnet50', ''), ('', '')),
    ],
)
def test_the_known_name_most_like_the_given_one_is_suggested(given, asked):
    assert suggest(given, {'xtiny': 1, 'tiny': 2, 'tiny2': 3, 'small': 4, 'Base': 5}) == asked
    assert suggest('tny', ['tiny'], 'timm://gcvit_{}'.format) == '; did you mean timm://gcvit_tiny?'
