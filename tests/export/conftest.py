"""Export the trained digit models and small random models to ONNX, each once per session."""

import functools
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmgcvit.export.onnx_file import export_onnx
from mmgcvit.inference.model_files import load

from ..inference.conftest import make_work_dir
from ..programs import ROOT
from ..tools.commands import CONFIGS

DEMO = ROOT / 'configs' / 'demo'


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """Return a function that exports a config of configs/demo (trained) or tests/data/configs
    (random) by name.
    """

    @functools.cache
    def exported(name):
        folder = tmp_path_factory.mktemp('export')
        config, checkpoint = DEMO / f'{name}.py', None
        if not config.is_file():
            config = CONFIGS / f'{name}.py'
        if not (DEMO / 'weights' / f'{name}.safetensors').is_file():
            work_dir = make_work_dir(folder, 'detection', Config.fromfile(config))
            checkpoint = work_dir / 'epoch_1.pth'
        model, target = load(config, checkpoint, 'cpu'), folder / f'{name}.onnx'
        return SimpleNamespace(model=model, path=target, difference=export_onnx(model, target))

    return exported


def photo_of(height=300, width=400, digits='3 5 8'):
    """Draw digits on a noise image, (height, width, 3) in BGR order."""
    noise = np.random.default_rng(0).integers(20, 60, (height, width, 3), dtype=np.uint8)
    return cv2.putText(
        noise, digits, (30, height // 2), cv2.FONT_HERSHEY_SIMPLEX, height / 80, (230, 240, 220), 8
    )
