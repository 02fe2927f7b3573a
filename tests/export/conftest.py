"""The digits' trained models of the project and small random ones, as ONNX files, each written once a session."""

import importlib.util

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmgcvit.checkpoints import save_checkpoint
from mmgcvit.export import write
from mmgcvit.inference import load
from mmgcvit.inference.sources import find_source

from ..programs import ROOT
from ..tools.commands import CONFIGS

DEMO = ROOT / 'configs' / 'demo'
NEEDED = ('onnx', 'onnxscript', 'onnxruntime')


def pytest_collection_modifyitems(items):
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    for item in items if missing else ():
        if 'tests/export' in str(item.path):
            item.add_marker(pytest.mark.skip(reason=f'{", ".join(missing)} not installed'))


class Exported:
    """A file, the model that it was made of, and how far it differs from that."""

    def __init__(self, config, checkpoint, target):
        self.source = find_source(config, checkpoint)
        self.model = load(self.source.config, self.source.checkpoint, 'cpu')
        self.difference = write(self.model, self.source, target)
        self.path = target


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """The file of a config of configs/demo or tests/data/configs, by its name: of trained weights, else random ones."""
    known = {}

    def exported(name):
        if name not in known:
            folder = tmp_path_factory.mktemp('export')
            config = next(path for path in (DEMO / f'{name}.py', CONFIGS / f'{name}.py') if path.is_file())
            weights = DEMO / 'weights' / f'{name}.safetensors'
            checkpoint = None if weights.is_file() else random_checkpoint(config, folder / 'random.pth')
            known[name] = Exported(config, checkpoint, folder / f'{name}.onnx')
        return known[name]

    return exported


def random_checkpoint(config, path):
    """A checkpoint of a config's model with random weights."""
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    save_checkpoint({'state_dict': model.state_dict(), 'meta': {}}, path)
    return path


def photo_of(height=300, width=400, digits='3 5 8'):
    """A picture with digits on it, (height, width, 3), blue, green, red."""
    noise = np.random.default_rng(0).integers(20, 60, (height, width, 3), dtype=np.uint8)
    return cv2.putText(noise, digits, (30, height // 2), cv2.FONT_HERSHEY_SIMPLEX, height / 80, (230, 240, 220), 8)
