"""Files in 8 bits are smaller, say what they are, and find in pictures of digits what the float32 files do."""

import shutil
import sys

import cv2
import numpy as np
import onnx
import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.export.int8 import DynamicInt8, StaticInt8
from mmgcvit.export.runner import Runner
from mmgcvit.inference import UserError

from .conftest import DEMO, photo_of

CLASSIFIERS = ['gcvit_digits_cls', 'lsa_digits_cls']
SEGMENTORS = ['upernet_gcvit_digits', 'upernet_lsa_digits']
DETECTORS = ['mask_rcnn_gcvit_digits', 'mask_rcnn_lsa_digits']
DIGITS = ('2', '3', '5', '7')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Four digits as image files."""
    images = tmp_path_factory.mktemp('digits')
    for digit in DIGITS:
        cv2.imwrite(str(images / f'{digit}.png'), photo_of(90, 70, digit))
    return images


def metadata_of(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.fixture(scope='module')
def quantized(folder, exported, tmp_path_factory):
    """A copy of a file, in 8 bits by one of the two ways, alone in a folder."""
    known = {}

    def quantized(name, way):
        if (name, way) not in known:
            known[name, way] = shutil.copy(exported(name).path, tmp_path_factory.mktemp('int8') / 'model.onnx')
            (StaticInt8([str(folder)]) if way == 'static' else DynamicInt8()).quantize(known[name, way])
        return known[name, way]

    return quantized


def weights_of(path, operators, least=32 * 32):
    """The data types of the larger weights that operators multiply by, behind DequantizeLinear too."""
    graph = onnx.load(path).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer if np.prod(tensor.dims) >= least}
    sources = {node.output[0]: node.input[0] for node in graph.node if node.op_type == 'DequantizeLinear'}
    inputs = [node.input[1] for node in graph.node if node.op_type in operators]
    return {weights[name] for name in (sources.get(name, name) for name in inputs) if name in weights}


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('way', ['static', 'dynamic'])
@pytest.mark.parametrize('name', CLASSIFIERS + SEGMENTORS + DETECTORS)
def test_the_file_is_smaller_and_says_what_it_is(name, way, exported, quantized):
    before, path = exported(name).path, quantized(name, way)
    # The names and shapes of a graph of thousands of small operators stay, and by the dynamic way convolutions.
    assert path.stat().st_size < (0.6 if way == 'static' else 0.8) * before.stat().st_size
    assert metadata_of(path) == {**metadata_of(before), 'precision': 'int8'}
    assert 'precision' not in metadata_of(before)
    int8, float32 = {onnx.TensorProto.INT8}, {onnx.TensorProto.FLOAT}
    assert int8 <= weights_of(path, ['MatMul', 'Gemm', 'MatMulInteger'])
    assert weights_of(path, ['Conv']) == (int8 if way == 'static' else float32)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('way', ['static', 'dynamic'])
@pytest.mark.parametrize('name', CLASSIFIERS)
def test_digits_are_classed_as_before(name, way, folder, exported, quantized):
    first, second = Runner(exported(name).path), Runner(quantized(name, way))
    for image in sorted(folder.iterdir()):
        assert second(image).label == first(image).label
        assert second(image).scores == pytest.approx(first(image).scores, abs=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('way', ['static', 'dynamic'])
@pytest.mark.parametrize('name', SEGMENTORS)
def test_pixels_are_classed_as_before(name, way, exported, quantized):
    first, second = Runner(exported(name).path), Runner(quantized(name, way))
    for digits in DIGITS:
        image = photo_of(100, 120, digits)
        assert (second(image).label_map == first(image).label_map).mean() > 0.98


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('way', ['static', 'dynamic'])
@pytest.mark.parametrize('name', DETECTORS)
def test_sure_objects_are_where_they_were(name, way, exported, quantized):
    """Each with its class, its mask, and three pixels of its box in 400."""
    image = photo_of()
    first = Runner(exported(name).path, score_thr=0.9)(image)
    second = Runner(quantized(name, way), score_thr=0.5)(image)
    assert len(first.boxes) > 0
    for label, box, mask in zip(first.labels, first.boxes, first.masks, strict=True):
        distances = np.abs(second.boxes[second.labels == label] - box).max(axis=1)
        assert distances.min() < 8
        found = second.masks[second.labels == label][distances.argmin()]
        assert (found & mask).sum() / (found | mask).sum() > 0.9


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_the_command_calibrates_on_a_folder(monkeypatch, folder, tmp_path, capsys):
    target = tmp_path / 'model.onnx'
    options = ['--int8', '--calibrate', str(folder), '--no-check']
    monkeypatch.setattr(sys, 'argv', ['mmgcvit export', str(DEMO / 'gcvit_digits_cls.py'), str(target), *options])
    run_command('export')
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
    with pytest.raises(UserError, match=r"onnxruntime's quantization fails: .*no such operator"):
        DynamicInt8().quantize(path)
    assert path.read_bytes() == before.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_a_file_that_onnxruntime_cannot_run_replaces_nothing(monkeypatch, exported, tmp_path):
    """As of LSA, with its tables of positions in 8 bits."""
    monkeypatch.setattr('mmgcvit.export.int8.left_in_float32', lambda path: [])
    before = exported('lsa_digits_cls').path
    path = shutil.copy(before, tmp_path / 'model.onnx')
    image = tmp_path / 'digit.png'
    cv2.imwrite(str(image), photo_of(90, 70, '3'))
    with pytest.raises(UserError, match=r'onnxruntime cannot run the file for .*position'):
        StaticInt8([str(image)]).quantize(path)
    assert path.read_bytes() == before.read_bytes()


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
        run_command('export')
    assert not (tmp_path / 'out.onnx').exists()
