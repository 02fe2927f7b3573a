"""What cannot be exported is refused in one sentence that says what can, and nothing is left behind."""

import sys
from types import SimpleNamespace

import pytest
from mmengine.config import ConfigDict
from mmseg.models import EncoderDecoder
from torch import nn

from mmgcvit.commands.main import run_command
from mmgcvit.export import check_target
from mmgcvit.export.detector import DetectorGraph
from mmgcvit.export.pipelines import Preparation, preparation_of
from mmgcvit.export.requirements import check_onnx
from mmgcvit.export.segmentor import SegmentorGraph
from mmgcvit.export.thresholds import iou_threshold_of
from mmgcvit.inference import UserError

from .conftest import DEMO


def step(name, **options):
    return type(name, (), {})() if not options else type(name, (SimpleNamespace,), {})(**options)


def test_a_target_of_another_name_or_that_is_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'ends in \.onnx'):
        check_target(tmp_path / 'model.pth')
    there = tmp_path / 'model.onnx'
    there.write_text('precious')
    with pytest.raises(UserError, match='--overwrite'):
        check_target(there)
    check_target(there, overwrite=True)
    assert there.read_text() == 'precious'


def test_the_command_ends_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['mmgcvit export', str(DEMO / 'gcvit_digits_cls.py'), str(tmp_path / 'a.pth')])
    with pytest.raises(SystemExit, match=r'^export: .*expected a name that ends in .onnx$'):
        run_command('export')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('missing', ['onnx', 'onnxruntime'])
def test_missing_packages_are_named_with_the_extra(missing, monkeypatch):
    monkeypatch.setattr('mmgcvit.export.requirements.find_spec', lambda name: None if name == missing else name)
    with pytest.raises(UserError, match=rf'^{missing} not installed.*mmgcvit\[export\]'):
        check_onnx()


def test_another_detector_is_refused_by_its_name():
    class DINO(nn.Module):
        pass

    with pytest.raises(UserError, match=r'a DINO; exported whole are Faster R-CNN.*--part backbone'):
        DetectorGraph(DINO())


@pytest.mark.parametrize('nms', [{'type': 'soft_nms', 'iou_threshold': 0.5}, {'iou_threshold': 0.5, 'max_num': 3}])
def test_another_suppression_is_refused(nms):
    assert iou_threshold_of(ConfigDict(type='nms', iou_threshold=0.5)) == 0.5
    with pytest.raises(UserError, match='suppresses overlaps by'):
        iou_threshold_of(ConfigDict(nms))


def test_steps_of_a_pipeline_are_described_or_refused():
    resized = step('Resize', scale=(128, 96), keep_ratio=True, interpolation='bilinear', backend='cv2')
    assert preparation_of([resized, step('PackDetInputs')]) == Preparation((128, 96), True)
    with pytest.raises(UserError, match='has the step Pad'):
        preparation_of([resized, step('Pad')])
    with pytest.raises(UserError, match='neither Resize nor ResizeEdge'):
        preparation_of([step('PackInputs')])
    factor = step('Resize', scale=None, scale_factor=0.5, interpolation='bilinear', backend='cv2')
    with pytest.raises(UserError, match='by a factor'):
        preparation_of([factor])


def test_an_export_that_fails_leaves_nothing(monkeypatch, tmp_path):
    """Where the comparison finds a difference, the file does not stay."""
    from mmgcvit.export import writing

    def refuse(*_):
        raise UserError('differs')

    monkeypatch.setattr(writing, 'graph_of', lambda *_: nn.Identity())
    monkeypatch.setattr(writing, 'metadata_of', lambda *_: {})
    monkeypatch.setattr(writing, 'outputs_of', lambda *_: {'scores': {}})
    monkeypatch.setattr(writing, 'trace', lambda graph, outputs, metadata, path: path.write_text('half'))
    monkeypatch.setattr(writing, 'compared', refuse)
    target = tmp_path / 'model.onnx'
    target.write_text('before')
    with pytest.raises(UserError, match='differs'):
        writing.write(None, None, target, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ['model.onnx']
    assert target.read_text() == 'before'
    monkeypatch.setattr(writing, 'compared', lambda *_: None)
    writing.write(None, None, target, overwrite=True)
    assert target.read_text() == 'half'


def segmentor_with(head=None, test_cfg=None):
    """Of it what is looked at before anything is built."""
    model = EncoderDecoder.__new__(EncoderDecoder)
    nn.Module.__init__(model)
    model.test_cfg = ConfigDict(mode='whole')
    model.data_preprocessor = SimpleNamespace(test_cfg=test_cfg)
    model.decode_head = head or SimpleNamespace(out_channels=2)
    return model


@pytest.mark.parametrize('padding', [{'size': (64, 64)}, {'size_divisor': 32}])
def test_a_segmentor_that_pads_images_is_refused(padding):
    with pytest.raises(UserError, match='pads images in tests'):
        SegmentorGraph(segmentor_with(test_cfg=padding))


def test_a_segmentor_of_one_channel_is_refused():
    """The host compares it with a threshold, which is not in the file."""
    with pytest.raises(UserError, match='one channel'):
        SegmentorGraph(segmentor_with(SimpleNamespace(out_channels=1)))
