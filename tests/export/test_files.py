"""Files of all tasks and of both backbones are the model's equals at sizes and batches that were not exported."""

import json

import numpy as np
import onnx
import pytest
import torch

from mmgcvit.export.checking import TOLERANCE, distance, session_of, without_threshold
from mmgcvit.export.host_outputs import finding_everything, host_outputs
from mmgcvit.export.objects import paired

SMALL = ['gcvit_digits_cls', 'lsa_digits_cls', 'upernet_gcvit_digits', 'upernet_lsa_digits']
DETECTORS = ['mask_rcnn_gcvit_digits', 'mask_rcnn_lsa_digits', 'cascade', 'cascade_lsa']
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]


@pytest.fixture(params=SMALL + DETECTORS)
def one(request, exported):
    return exported(request.param)


def test_the_check_finds_it_equal(one):
    assert one.written.difference.largest <= TOLERANCE
    assert one.written.size == one.path.stat().st_size
    assert [path.name for path in one.path.parent.iterdir() if 'unfinished' in path.name] == []


@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('shape', [(1, 3, 33, 40), (4, 3, 100, 61)])
def test_other_sizes_and_batches_give_what_the_host_gives(name, shape, exported):
    one = exported(name)
    images = torch.randn(shape)
    ((output, expected),) = host_outputs(one.model, None, images).items()
    (found,) = session_of(one.path.read_bytes()).run([output], {'images': images.numpy()})
    assert distance(found, expected) <= TOLERANCE


@pytest.mark.parametrize('name', DETECTORS)
def test_other_sizes_and_batches_hold_the_objects_that_the_host_finds(name, exported):
    """All of them, whatever their scores."""
    one = exported(name)
    images = torch.randn(3, 3, 75, 140)
    expected = host_outputs(finding_everything(one.model), None, images)
    found = session_of(without_threshold(one.path)).run(list(expected), {'images': images.numpy()})
    found, expected = paired(dict(zip(expected, found, strict=True)), expected, images.shape[2:])
    assert len(expected['scores']) > 0
    for output in expected:
        assert distance(found[output], expected[output]) <= TOLERANCE, output


def test_it_holds_standard_operators_of_opset_17_and_no_weights_elsewhere(one):
    model = onnx.load(one.path, load_external_data=False)
    onnx.checker.check_model(model)
    assert {(opset.domain, opset.version) for opset in model.opset_import} == {('', 17)}
    assert {node.domain for node in model.graph.node} == {''}
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_it_says_what_it_is(one):
    found = {entry.key: entry.value for entry in onnx.load(one.path).metadata_props}
    assert found['task'] == one.model.task
    assert json.loads(found['classes']) == one.model.classes
    assert json.loads(found['palette']) == [list(colour) for colour in one.model.palette]
    assert json.loads(found['mean']) == pytest.approx(one.model.network.data_preprocessor.mean.flatten().tolist())
    assert json.loads(found['std']) == pytest.approx(one.model.network.data_preprocessor.std.flatten().tolist())
    assert found['channel_order'] == 'rgb'
    assert found['size_divisor'] == '1'
    assert found['config'] == one.source.config.name
    assert len(found['checkpoint_sha256']) == 64
    assert json.loads(found['keep_ratio']) is (one.model.task == 'detection')
    assert json.loads(found['scale']) == ([32, 32] if one.model.task == 'classification' else [128, 128])
    assert ('score_thr' in found) == (one.model.task == 'detection')


@pytest.mark.parametrize('name', DETECTORS)
def test_objects_lie_image_by_image_the_surest_first(name, exported):
    images = torch.randn(3, 3, 96, 70).numpy()
    boxes, scores, labels, of_image, masks = session_of(exported(name).path.read_bytes()).run(None, {'images': images})
    assert len(boxes) == len(scores) == len(labels) == len(of_image) == len(masks)
    assert (np.diff(of_image) >= 0).all()
    for number in range(3):
        assert (np.diff(scores[of_image == number]) <= 0).all()


@pytest.mark.parametrize('name', ['gcvit_digits_cls', 'lsa_digits_cls'])
def test_the_backbone_alone_is_written(name, exported):
    one = exported(name, 'backbone')
    assert one.written.difference.largest <= TOLERANCE
    names = [output.name for output in session_of(one.path.read_bytes()).get_outputs()]
    assert names == [f'map{i}' for i in one.model.network.backbone.out_indices]
