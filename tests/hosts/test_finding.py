"""Beside an mmcv without compiled operators the stand-ins are found, whoever asks first; compiled ones come first."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmgcvit.hosts import finder

from ..conftest import ROOT
from .test_stand_ins import STAND_INS, needs_compiled


@pytest.fixture(scope='module')
def plain_mmcv(tmp_path_factory):
    """A folder with mmcv, but for its compiled operators."""
    folder = tmp_path_factory.mktemp('plain')
    (folder / 'mmcv').mkdir()
    for path in Path(find_spec('mmcv').origin).parent.iterdir():
        if not path.name.startswith('_ext'):
            (folder / 'mmcv' / path.name).symlink_to(path)
    return folder


def run(code, first, *arguments):
    """What Python prints of some code, ``first`` being the first folder that it looks for modules in."""
    environment = os.environ | {'PYTHONPATH': f'{first}:{ROOT}', 'PYTHONWARNINGS': 'ignore'}
    command = [sys.executable, '-c', code, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


ORIGIN = 'import mmcv._ext; print(mmcv._ext.__file__)'
NOT_TOLD_AT_START = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if type(finder).__name__ != 'StandInFinder']
"""


@pytest.mark.slow
@pytest.mark.parametrize('before', ['import mmdet.apis', 'import mmdet, mmgcvit', 'import mmgcvit, mmseg.apis'])
def test_the_order_of_imports_does_not_matter(before, plain_mmcv):
    """mmdet's own scripts and Inferencers import its operators before a config can import mmgcvit."""
    assert run(f'{before}\n{ORIGIN}', plain_mmcv).splitlines()[-1].endswith('mmgcvit/hosts/stand_ins.py')


@pytest.mark.slow
def test_where_python_is_not_told_at_its_start_importing_mmgcvit_tells_it(plain_mmcv):
    found = run(f'{NOT_TOLD_AT_START}\nimport mmgcvit, mmcv.ops\n{ORIGIN}', plain_mmcv)
    assert found.splitlines()[-1].endswith('mmgcvit/hosts/stand_ins.py')


@pytest.mark.slow
def test_compiled_operators_come_first(plain_mmcv, tmp_path):
    (tmp_path / 'mmcv').symlink_to(plain_mmcv / 'mmcv')
    own = plain_mmcv / 'mmcv' / '_ext.py'
    own.write_text('')
    try:
        assert run(f'import mmgcvit\n{ORIGIN}', tmp_path).splitlines()[-1].endswith('mmcv/_ext.py')
    finally:
        own.unlink()


@pytest.mark.slow
def test_compiled_operators_are_known_as_such_in_a_folder_of_this_projects_name(plain_mmcv, tmp_path):
    """As in the environment of a clone: mmgcvit/.venv/lib/..."""
    code = 'from mmgcvit.hosts.operators import are_compiled; print(are_compiled())'
    assert run(code, plain_mmcv).splitlines()[-1] == 'False'
    folder = tmp_path / 'mmgcvit' / '.venv'
    shutil.copytree(plain_mmcv, folder, symlinks=True)
    (folder / 'mmcv' / '_ext.py').touch()
    assert run(code, folder).splitlines()[-1] == 'True'


def test_what_python_imports_at_its_start_imports_nothing_else():
    """It is paid by every process of the environment."""
    code = 'before = set(sys.modules); import finder; finder.serve_stand_ins(); print(*set(sys.modules) - before)'
    assert run(f'import sys; {code}', Path(finder.__file__).parent).split() == ['finder']


DETECT = """
import sys
import numpy as np
from mmdet.apis import DetInferencer
inferencer = DetInferencer(sys.argv[1], device='cpu', show_progress=False)
found = inferencer(np.zeros((128, 128, 3), np.uint8), no_save_pred=True)['predictions']
print(len(found), sorted(found[0]))
"""


@pytest.mark.slow
def test_mmdets_inferencer_works_without_an_import_of_mmgcvit(plain_mmcv):
    config = ROOT / 'tests' / 'data' / 'configs' / 'detect.py'
    assert run(DETECT, plain_mmcv, config).splitlines()[-1].startswith("1 ['bboxes', 'labels'")


@needs_compiled
@pytest.mark.slow
def test_a_detector_finds_the_same_and_learns_the_same_with_stand_ins_as_with_compiled_operators(monkeypatch):
    cfg = Config.fromfile(ROOT / 'tests' / 'data' / 'configs' / 'detect.py')
    init_default_scope('mmdet')
    cfg.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=100)
    model = MODELS.build(cfg.model).eval()
    found = {}
    for kind in ('compiled', 'stand-ins'):
        if kind == 'stand-ins':
            for name in ('nms', 'roi_align'):
                monkeypatch.setattr(sys.modules[f'mmcv.ops.{name}'], 'ext_module', STAND_INS)
        found[kind] = detect_and_learn(model)
    for name, compiled in found['compiled'].items():
        torch.testing.assert_close(found['stand-ins'][name], compiled, rtol=1e-4, atol=1e-5, msg=name)
    assert len(found['compiled']['scores']) > 10


def detect_and_learn(model):
    """What a detector finds in an image, and its gradients' norms for some boxes in it."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    generator = np.random.default_rng(0)
    image = torch.from_numpy(generator.random((3, 128, 128), np.float32) * 255)
    meta = {
        'img_shape': (128, 128),
        'ori_shape': (128, 128),
        'scale_factor': (1.0, 1.0),
        'batch_input_shape': (128, 128),
    }
    sample = DetDataSample(metainfo=meta)
    masks = BitmapMasks(generator.integers(0, 2, (2, 128, 128)).astype(np.uint8), 128, 128)
    boxes = torch.tensor([[10.0, 12, 60, 70], [40, 50, 110, 120]])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 3]), masks=masks)
    batch = {'inputs': [image], 'data_samples': [sample]}
    with torch.no_grad():
        (detected,) = model.test_step({'inputs': [image.clone()], 'data_samples': [sample.clone()]})
    torch.manual_seed(0)
    model.zero_grad()
    data = model.data_preprocessor(batch, True)
    losses = model.loss(data['inputs'], data['data_samples'])
    loss, _ = model.parse_losses(losses)
    loss.backward()
    gradients = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    instances = detected.pred_instances
    return {
        'scores': instances.scores,
        'bboxes': instances.bboxes,
        'labels': instances.labels,
        'loss': loss.detach(),
        'gradients': torch.stack(gradients),
    }
