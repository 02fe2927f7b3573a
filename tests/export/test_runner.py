"""The runner predicts what the package does, where there is no torch and no mmgcvit."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmgcvit.export import runner
from mmgcvit.export.runner import Runner

from ..programs import run
from .conftest import photo_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]


@pytest.mark.parametrize('name', ['mask_rcnn_gcvit_digits', 'mask_rcnn_lsa_digits'])
def test_objects_are_those_of_the_package(name, exported):
    one, photo = exported(name), photo_of()
    found, expected = Runner(one.path)(photo), one.model(photo)
    assert len(expected.boxes) > 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.class_names == expected.class_names
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.25)
    assert found.masks.shape == expected.masks.shape
    assert (found.masks != expected.masks).mean() < 1e-3


@pytest.mark.parametrize('name', ['gcvit_digits_cls', 'lsa_digits_cls'])
def test_scores_are_those_of_the_package(name, exported, tmp_path):
    one, path = exported(name), str(tmp_path / 'photo.png')
    cv2.imwrite(path, photo_of(90, 70, '7'))
    found, expected = Runner(one.path)(path), one.model(path)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    assert (found.label, found.class_name) == (expected.label, expected.class_name)


def test_pixels_are_those_of_the_package(exported):
    one, photo = exported('upernet_gcvit_digits'), photo_of()
    found = Runner(one.path)(photo)
    assert (found.label_map == one.model(photo).label_map).mean() > 0.999


def test_a_copy_of_the_file_runs_where_torch_cannot_be_imported(exported, tmp_path):
    shutil.copy(runner.__file__, tmp_path / 'copied.py')
    program = (
        'import sys; sys.modules.update(torch=None, mmgcvit=None, mmengine=None); sys.path.insert(0, sys.argv[1]); '
        'import copied, numpy; '
        'print(copied.Runner(sys.argv[2])(numpy.zeros((40, 30, 3), numpy.uint8)).label)'
    )
    one = exported('gcvit_digits_cls')
    result = run([sys.executable, '-c', program, str(tmp_path), str(one.path)])
    assert int(result.stdout) == one.model(np.zeros((40, 30, 3), np.uint8)).label


def test_a_backbone_and_what_is_no_image_are_refused(exported, tmp_path):
    with pytest.raises(ValueError, match='holds backbone; expected a detector'):
        Runner(exported('gcvit_digits_cls', 'backbone').path)
    text = tmp_path / 'text.png'
    text.write_text('no image')
    with pytest.raises(ValueError, match='cannot be read as an image'):
        Runner(exported('gcvit_digits_cls').path)(text)


def test_the_metadata_are_json_or_words(exported):
    metadata = Runner(exported('gcvit_digits_cls').path).metadata
    assert json.loads(metadata['crop']) is None
    assert Path(metadata['config']).suffix == '.py'
