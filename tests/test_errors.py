"""Error messages name missing packages, escape control characters and suggest similar names."""

import sys
from types import SimpleNamespace

import pytest

from mmgcvit import errors
from mmgcvit.errors import (
    MissingPackageError,
    UserError,
    format_duration,
    get_first_line,
    shorten,
    suggest,
)
from tools.figures.gradcam_maps import compute_gradcam


def test_a_missing_import_is_reported_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.raises(MissingPackageError, match=r'needs pytorch_grad_cam, .*install grad-cam$'):
        compute_gradcam(None, None)


@pytest.mark.parametrize(
    ('installed', 'missing', 'advice'),
    [
        (['onedl-mmengine', 'onedl-mmcv'], 'mmdet', 'Run: pip install onedl-mmdetection'),
        (['mmengine', 'mmcv'], 'mmdet', "Run: pip install 'mmdet<3.4'"),
        (['mmengine'], 'mmcv', "Run: pip install 'mmcv-lite<2.2'"),
        (['numpy'], 'mmdet', 'docs/installation.md says how'),
        (['mmengine'], 'PIL', 'Run: pip install pillow'),
        (['onedl-mmengine'], 'mmpose', 'docs/other_tasks.md says how'),
        ([], 'PIL', 'torch, mmengine, mmcv, which are not installed. docs/installation.md says'),
    ],
)
def test_advice_never_mixes_the_original_packages_with_the_forks(
    installed, missing, advice, monkeypatch
):
    """A bare environment is told all that commands need, and not only Pillow."""
    found = [SimpleNamespace(name=name) for name in installed]
    monkeypatch.setattr(errors, 'distributions', lambda: found)
    monkeypatch.setattr(errors, 'find_spec', lambda package: installed or None)
    assert advice in errors.format_missing('this command', missing)


def test_control_characters_are_escaped():
    for text, printed in (
        ('größer als C:\\x', 'größer als C:\\x'),
        ('a\x1b[2J', r'a\x1b[2J'),
        ('a\rb', r'a\rb'),
    ):
        assert str(UserError(text)) == printed


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0, '1 minute'),
        (95, '2 minutes'),
        (119.4 * 60, '119 minutes'),
        (120 * 60, '2 hours'),
        (3.6 * 3600, '4 hours'),
    ],
)
def test_durations_are_minutes_up_to_two_hours(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('first\nsecond'), 'first'),
        (KeyError(), 'KeyError'),
        (OSError("cannot identify image file <_io.BytesIO object at 0x7f>'"), 'not an image'),
    ],
)
def test_an_error_is_told_in_one_line_without_addresses(error, line):
    assert get_first_line(error) == line


def test_many_names_are_shortened_and_a_similar_one_is_suggested():
    assert shorten(['a', 'b\r', 'c']) == r'a, b\r, c'
    assert shorten('abcd') == 'a, b, c, ...'
    assert suggest('gcvit_tiny', ['large', 'Tiny']) == '; did you mean Tiny?'
    assert suggest('gcvit_tiny', ['large']) == ''
