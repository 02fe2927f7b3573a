"""OnnxPredictor as one file predicts what the package's does, where neither torch nor this package
can be imported. It is made of the package's definitions, or not at all.

Modules: `mmgcvit/export/one_file.py`.
"""

import sys

import cv2
import numpy as np
import pytest

from mmgcvit.export.one_file import Collector, make_one_file
from mmgcvit.export.onnx_predictor import OnnxPredictor

from ..predict.large_images import page_of
from ..programs import run

ABSENT = ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'pycocotools')
# Arguments: the folder of the made file, the ONNX file, the image, the tiles and the target.
PREDICTING = """
import sys
sys.modules.update(dict.fromkeys(%r))
sys.path.insert(0, sys.argv[1])
import numpy, onnx_predictor
found = vars(onnx_predictor.OnnxPredictor(sys.argv[2], tiles=int(sys.argv[4]))(sys.argv[3]))
numpy.savez(sys.argv[5], **{name: found[name] for name in found if found[name] is not None})
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Return a folder with the file, as the command prints it, and a photo."""
    folder = tmp_path_factory.mktemp('without')
    printed = run([sys.executable, '-m', 'mmgcvit.export.one_file'])
    assert printed.stdout == make_one_file()
    (folder / 'onnx_predictor.py').write_text(printed.stdout)
    cv2.imwrite(str(folder / 'photo.png'), page_of(300, 400)[0])
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('name', 'tiles'),
    [
        ('gcvit_digits_cls', 0),
        ('upernet_lsa_digits', 0),
        ('upernet_lsa_digits', 256),
        ('mask_rcnn_gcvit_digits', 0),
        ('mask_rcnn_gcvit_digits', 256),
        ('dino', 0),
        pytest.param('rtmdet_ins_gcvit_digits', 0, marks=pytest.mark.long),
        pytest.param('mask2former_gcvit_digits', 0, marks=pytest.mark.long),
    ],
)
def test_the_file_predicts_what_the_package_does(name, tiles, exported, folder, tmp_path):
    path = exported(name).path
    photo = folder / 'photo.png'
    program = PREDICTING % [*ABSENT, 'mmgcvit']
    target = tmp_path / 'found.npz'
    ended = run([sys.executable, '-c', program, folder, path, photo, tiles, target])
    assert ended.returncode == 0, ended.stderr
    expected = vars(OnnxPredictor(path, tiles=tiles)(photo))
    found = np.load(target)
    assert set(found) == {key for key, value in expected.items() if value is not None}
    for key in found:
        np.testing.assert_array_equal(found[key], np.array(expected[key]), err_msg=key)


def test_the_packages_predictor_needs_neither_torch_nor_openmmlab():
    program = f'import sys; sys.modules.update(dict.fromkeys({ABSENT})); '
    ended = run([sys.executable, '-c', f'{program}import mmgcvit.export.onnx_predictor'])
    assert ended.returncode == 0, ended.stderr


def test_a_name_of_two_modules_and_an_inner_import_of_the_package_are_faults(tmp_path):
    """The file could not have them."""
    (tmp_path / 'first.py').write_text('LIMIT = 1\n')
    (tmp_path / 'second.py').write_text('from .first import LIMIT\nDOUBLE = LIMIT\n')
    (tmp_path / 'twice.py').write_text(
        'from .second import DOUBLE\nLIMIT = 2\ndef a():\n    return LIMIT, DOUBLE\n'
    )
    with pytest.raises(ValueError, match=r'LIMIT is from .*\. Rename one'):
        Collector().add(tmp_path / 'twice.py', 'a')
    (tmp_path / 'inner.py').write_text('def a():\n    from .first import LIMIT\n    return LIMIT\n')
    with pytest.raises(ValueError, match=r'inner\.py, line 2: import it at the top'):
        Collector().add(tmp_path / 'inner.py', 'a')
