"""Files in 8 bits are smaller, say what they are, and class digits as the float32 file does."""

import shutil
import sys

import cv2
import numpy as np
import onnx
import pytest

from mmgcvit.commands import export as command
from mmgcvit.export.int8 import DynamicInt8, StaticInt8
from mmgcvit.export.runner import Runner
from mmgcvit.inference import InputError

from .conftest import DEMO, photo_of

DIGITS = ('2', '3', '5', '7')


@pytest.fixture
def folder(tmp_path):
    """Four digits as image files."""
    images = tmp_path / 'digits'
    images.mkdir()
    for digit in DIGITS:
        cv2.imwrite(str(images / f'{digit}.png'), photo_of(90, 70, digit))
    return images


def metadata_of(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('way', ['static', 'dynamic'])
def test_the_file_is_smaller_and_classes_digits_as_before(way, folder, exported, tmp_path):
    before = exported('gcvit_digits_cls').path
    path = shutil.copy(before, tmp_path / 'model.onnx')
    (StaticInt8([str(folder)]) if way == 'static' else DynamicInt8()).quantize(path)
    # The names and shapes of a graph of thousands of small operators, a fifth of the file, stay.
    assert path.stat().st_size < 0.6 * before.stat().st_size
    assert metadata_of(path) == {**metadata_of(before), 'precision': 'int8'}
    assert 'precision' not in metadata_of(before)
    weights = {tensor.data_type for tensor in onnx.load(path).graph.initializer if np.prod(tensor.dims) >= 128 * 128}
    assert onnx.TensorProto.INT8 in weights
    first, second = Runner(before), Runner(path)
    for image in sorted(folder.iterdir()):
        assert second(image).label == first(image).label
        assert second(image).scores == pytest.approx(first(image).scores, abs=0.1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['digits', 'model.onnx']


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_the_command_calibrates_on_a_folder(monkeypatch, folder, tmp_path, capsys):
    target = tmp_path / 'model.onnx'
    options = ['--int8', '--calibrate', str(folder), '--no-check']
    monkeypatch.setattr(sys, 'argv', ['mmgcvit export', str(DEMO / 'gcvit_digits_cls.py'), str(target), *options])
    command.main()
    assert f'{target}: classification, int8, ' in capsys.readouterr().out
    assert metadata_of(target)['precision'] == 'int8'


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_where_the_tool_fails_the_file_is_as_before(monkeypatch, exported, tmp_path):
    def fail(*_, **__):
        raise RuntimeError('no such operator')

    monkeypatch.setattr('onnxruntime.quantization.quantize_dynamic', fail)
    before = exported('gcvit_digits_cls').path
    path = shutil.copy(before, tmp_path / 'model.onnx')
    with pytest.raises(InputError, match=r"onnxruntime's quantization fails: .*no such operator"):
        DynamicInt8().quantize(path)
    assert path.read_bytes() == before.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--calibrate', '.'], '--calibrate is for weights in 8 bits; add --int8'),
        (['--int8', '--part', 'backbone', '--calibrate', '.'], 'for whole models; leave it out with --part backbone'),
        (['--int8', '--calibrate', 'empty'], 'empty: none of its 0 files is an image'),
        (['--int8', '--calibrate', 'none.png'], 'none.png: there is no such file'),
        (['--int8', '--calibrate', 'text.png'], 'text.png cannot be read as an image'),
        (['--int8', '--calibrate', 'film.mp4'], 'expected images alone'),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_written(options, message, monkeypatch, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.png').write_text('no image')
    (tmp_path / 'film.mp4').touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['mmgcvit export', str(DEMO / 'gcvit_digits_cls.py'), 'out.onnx', *options])
    with pytest.raises(SystemExit, match=f'^export: .*{message}'):
        command.main()
    assert not (tmp_path / 'out.onnx').exists()
