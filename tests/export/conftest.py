"""Export the trained digit models and small random models to ONNX, each once per session."""

import functools
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmgcvit.export.onnx_file import export_onnx
from mmgcvit.predict.load import load

from ..predict.conftest import make_work_dir
from ..tools.commands import CONFIGS, DEMO


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """Return a function that exports a config of configs/demo or tests/data/configs by name.

    Models whose weights do not come with the project have random ones.
    """

    @functools.cache
    def exported(name):
        folder = tmp_path_factory.mktemp('export')
        source = DEMO / f'{name}.py'
        if not source.is_file():
            source = CONFIGS / f'{name}.py'
        if not (DEMO / 'weights' / f'{name}.safetensors').is_file():
            source = make_work_dir(folder, 'detection', Config.fromfile(source))
        model = load(source, device='cpu')
        target = folder / f'{name}.onnx'
        return SimpleNamespace(model=model, path=target, difference=export_onnx(model, target))

    return exported
