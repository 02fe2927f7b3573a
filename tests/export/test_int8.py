"""Files in 8 bits are smaller, say what they are, and find in pictures of digits what the float32 files do."""

import shutil
import sys

import cv2
import numpy as np
import onnx
import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.export.int8 import calibration_images, quantize
from mmgcvit.export.runner import Runner
from mmgcvit.inference import UserError

from .conftest import DEMO, photo_of

DIGITS = ('2', '3', '5', '7')
pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Four digits as image files."""
    images = tmp_path_factory.mktemp('digits')
    for digit in DIGITS:
        cv2.imwrite(str(images / f'{digit}.png'), photo_of(90, 70, digit))
    return images


def metadata_of(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def weights_of(path, operators, least=32 * 32):
    """The data types of the larger weights that operators multiply by, behind DequantizeLinear too."""
    graph = onnx.load(path).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer if np.prod(tensor.dims) >= least}
    sources = {node.output[0]: node.input[0] for node in graph.node if node.op_type == 'DequantizeLinear'}
    inputs = [node.input[1] for node in graph.node if node.op_type in operators]
    return {weights[name] for name in (sources.get(name, name) for name in inputs) if name in weights}


def assert_finds_the_same(first, second):
    """In pictures of digits; a sure object with its class, its mask, and three pixels of its box in 400."""
    if first.task == 'classification':
        for image in (photo_of(90, 70, digit) for digit in DIGITS):
            assert second(image).label == first(image).label
            assert second(image).scores == pytest.approx(first(image).scores, abs=0.1)
    elif first.task == 'segmentation':
        for image in (photo_of(100, 120, digit) for digit in DIGITS):
            assert (second(image).label_map == first(image).label_map).mean() > 0.98
    else:
        expected, found = first(photo_of()), second(photo_of())
        sure = [number for number, score in enumerate(expected.scores) if score >= 0.9]
        assert sure
        for label, box, mask in zip(expected.labels[sure], expected.boxes[sure], expected.masks[sure], strict=True):
            distances = np.abs(found.boxes[found.labels == label] - box).max(axis=1)
            assert distances.min() < 8
            near = found.masks[found.labels == label][distances.argmin()]
            assert (near & mask).sum() / (near | mask).sum() > 0.9


# Each task with each backbone and each way, and each backbone each way.
TASKS = [('lsa_digits_cls', 'static'), ('upernet_lsa_digits', 'dynamic'), ('mask_rcnn_gcvit_digits', 'dynamic')]
LONG = [('gcvit_digits_cls', 'dynamic'), ('upernet_gcvit_digits', 'static'), ('mask_rcnn_lsa_digits', 'static')]


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'way'), [*TASKS, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)])
def test_the_file_is_smaller_and_finds_the_same(name, way, exported, folder, tmp_path):
    before = exported(name).path
    path = shutil.copy(before, tmp_path / 'model.onnx')
    quantize(path, calibration_images([str(folder)]) if way == 'static' else None)
    # The names and shapes of a graph of thousands of small operators stay, and by the dynamic way convolutions.
    assert path.stat().st_size < (0.6 if way == 'static' else 0.8) * before.stat().st_size
    assert metadata_of(path) == {**metadata_of(before), 'precision': 'int8'}
    assert 'precision' not in metadata_of(before)
    int8, float32 = {onnx.TensorProto.INT8}, {onnx.TensorProto.FLOAT}
    assert int8 <= weights_of(path, ['MatMul', 'Gemm', 'MatMulInteger'])
    assert weights_of(path, ['Conv']) == (int8 if way == 'static' else float32)
    assert list(tmp_path.iterdir()) == [path]
    assert_finds_the_same(Runner(before, score_thr=0.5), Runner(path, score_thr=0.5))


@pytest.mark.long
def test_the_command_calibrates_on_a_folder(monkeypatch, folder, tmp_path, capsys):
    target = tmp_path / 'model.onnx'
    options = ['--int8', '--calibrate', str(folder), '--no-check']
    monkeypatch.setattr(sys, 'argv', ['mmgcvit export', str(DEMO / 'gcvit_digits_cls.py'), str(target), *options])
    run_command('export')
    assert f'{target}: classification, int8, ' in capsys.readouterr().out
    assert metadata_of(target)['precision'] == 'int8'


@pytest.mark.slow
def test_where_the_tool_fails_or_onnxruntime_refuses_its_file_that_is_as_before(monkeypatch, exported, tmp_path):
    """As of LSA, with its tables of positions in 8 bits."""

    def fail(*_, **__):
        raise RuntimeError('no such operator')

    before = exported('lsa_digits_cls').path
    path = shutil.copy(before, tmp_path / 'model.onnx')
    image = tmp_path / 'digit.png'
    cv2.imwrite(str(image), photo_of(90, 70, '3'))
    with monkeypatch.context() as patch:
        patch.setattr('onnxruntime.quantization.quantize_dynamic', fail)
        with pytest.raises(UserError, match=r"onnxruntime's quantization fails: .*no such operator"):
            quantize(path)
    monkeypatch.setattr('mmgcvit.export.int8.left_in_float32', lambda path: [])
    with pytest.raises(UserError, match=r'onnxruntime cannot run the file for .*position'):
        quantize(path, [str(image)])
    assert path.read_bytes() == before.read_bytes()
    assert {*tmp_path.iterdir()} == {path, image}


def test_options_that_make_no_sense_are_refused_before_anything_is_written(monkeypatch, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.png').write_text('no image')
    (tmp_path / 'film.mp4').touch()
    monkeypatch.chdir(tmp_path)
    for options, message in {
        '--calibrate .': '--calibrate is for weights in 8 bits; add --int8',
        '--int8 --part backbone --calibrate .': 'for whole models; leave it out with --part backbone',
        '--int8 --calibrate empty': 'empty: none of its 0 files is an image',
        '--int8 --calibrate none.png': 'none.png: there is no such file',
        '--int8 --calibrate text.png': 'text.png cannot be read as an image',
        '--int8 --calibrate film.mp4': 'expected images alone',
    }.items():
        arguments = [str(DEMO / 'gcvit_digits_cls.py'), 'out.onnx', *options.split()]
        monkeypatch.setattr(sys, 'argv', ['mmgcvit export', *arguments])
        with pytest.raises(SystemExit, match=f'^export: .*{message}'):
            run_command('export')
        assert not (tmp_path / 'out.onnx').exists()
