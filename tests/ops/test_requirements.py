"""A message about a missing package says what needs it, and how to install it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mmgcvit.errors import MissingPackageError
from mmgcvit.ops import requirements
from mmgcvit.predict.drawing import draw_prediction
from mmgcvit.predict.results import Classification, Detections
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
    monkeypatch.setattr(requirements, 'distributions', lambda: found)
    monkeypatch.setattr(requirements, 'find_spec', lambda package: installed or None)
    assert advice in requirements.format_missing('this command', missing)


def test_what_needs_supervision_says_so(monkeypatch):
    """The networks, and predictions without pictures, do without it."""
    monkeypatch.setattr(requirements, 'list_missing', lambda packages: [*packages])
    found = Detections(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, np.int64), ['cat'])
    cat = Classification(label=0, class_name='cat', score=1.0, scores=np.ones(1, np.float32))
    with pytest.raises(MissingPackageError, match=r'^to_supervision\(\) needs .*pip install'):
        found.to_supervision()
    with pytest.raises(MissingPackageError, match=r'^drawing needs .*pip install'):
        draw_prediction(np.zeros((9, 9, 3), np.uint8), cat, [(1, 2, 3)])
