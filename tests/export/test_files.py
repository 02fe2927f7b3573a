"""ONNX files of all tasks and both backbones give the model's outputs, which the export checks, and
OnnxPredictor the package's predictions.

Modules: `mmgcvit/export`.
"""

import json
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.export import two_stage_graph
from mmgcvit.export.comparing import (
    DINO,
    FLOAT32,
    HALF,
    NOT_WRITTEN,
    ComparisonError,
    keep_all_candidates,
    make_random_images,
    match_objects,
    predict_both,
)
from mmgcvit.export.graphs import INPUT, SCORE_THR, ClassifierGraph
from mmgcvit.export.onnx_file import GRAPHS, build_graph, collect_metadata, export_onnx
from mmgcvit.export.onnx_predictor import OnnxPredictor
from mmgcvit.export.output_readers import READERS
from mmgcvit.host.files import write_image
from mmgcvit.host.tasks import TASK_BY_NAME
from mmgcvit.predict.load import load

from ..docs.pages import find_table
from ..predict.conftest import make_work_dir, picture_of
from ..predict.large_images import TILE, matches, page_of
from ..tools.commands import DEMO

long = partial(pytest.param, marks=pytest.mark.long)
release = partial(pytest.param, marks=pytest.mark.release)
NAMES = [
    'gcvit_digits_cls',
    'lsa_digits_cls',
    'upernet_lsa_digits',
    'mask_rcnn_gcvit_digits',
    'dino',
    'mask2former_seg',
    long('rtmdet_ins_gcvit_digits'),
    long('mask2former_gcvit_digits'),
    long('cascade_lsa'),
]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]


@pytest.fixture(scope='module')
def photo():
    """Return an image of digits, (300, 400, 3) in BGR order."""
    return page_of(300, 400)[0]


def open_with_threshold(path, score_thr):
    """Open a detector's file with another threshold of the last NMS, which its runtime sets."""
    options = onnxruntime.SessionOptions()
    value = onnxruntime.OrtValue.ortvalue_from_numpy(np.array([score_thr], np.float32))
    options.add_initializer(SCORE_THR, value)
    return onnxruntime.InferenceSession(path, options), value  # which must live as long


def test_a_detectors_objects_come_image_by_image_the_highest_scoring_first(exported):
    """Here the score threshold is 0."""
    one = exported('mask_rcnn_gcvit_digits')
    session, _value = open_with_threshold(one.path, 0)
    values = session.run(None, {INPUT: torch.randn(3, 3, 33, 140).numpy()})
    found = dict(zip([output.name for output in session.get_outputs()], values, strict=True))
    assert len({len(values) for values in found.values()}) == 1
    ranks = list(zip(found['image_indices'], -found['scores'], strict=True))
    assert ranks == sorted(ranks)
    assert set(found['image_indices']) == {0, 1, 2}


# By task, how the page begins what it says of metadata that a file of the task does not have.
OTHER_TASKS = {
    'detection': (),
    'segmentation': ('only detectors',),
    'classification': ('only detectors', 'detectors and segmentors'),
}


@pytest.mark.parametrize('name', NAMES)
def test_a_file_has_only_standard_operators_and_the_metadata_of_the_page(name, exported):
    """docs/deploy.md lists them."""
    one = exported(name)
    file = onnx.load(one.path)
    onnx.checker.check_model(file)
    assert {(opset.domain, opset.version) for opset in file.opset_import} == {('', 17)}
    assert {node.domain for node in file.graph.node} == {''}
    texts = {entry.key: entry.value for entry in file.metadata_props}
    listed = set()
    for names, meaning in find_table('docs/deploy.md', 'name'):
        if not meaning.startswith(OTHER_TASKS[one.model.task]):
            listed.update(names.strip('`').split('`, `'))
    assert texts.keys() == listed
    assert json.loads(texts['classes']) == one.model.classes
    assert json.loads(texts['palette']) == [list(colour) for colour in one.model.palette]


@pytest.mark.parametrize('name', ['mask_rcnn_gcvit_digits', long('rtmdet_ins_gcvit_digits')])
def test_a_file_predicts_nothing_where_no_score_reaches_the_threshold(exported, name):
    """Here the threshold of the last NMS is 1: a runtime can set it. It is the model's."""
    one = exported(name)
    constants = {tensor.name: tensor for tensor in onnx.load(one.path).graph.initializer}
    test_cfg = one.model.network.test_cfg
    expected = np.array([test_cfg.get('rcnn', test_cfg).score_thr], np.float32)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(constants[SCORE_THR]), expected)
    session, _value = open_with_threshold(one.path, 1)
    values = session.run(None, {INPUT: torch.randn(2, 3, 70, 90).numpy()})
    assert {len(value) for value in values} == {0}


@pytest.mark.parametrize('shape', [(1, 64, 96), (3, 131, 70), (2, 128, 160)])
@pytest.mark.parametrize(
    'name',
    [
        'mask_rcnn_gcvit_digits',
        'dino',
        long('rtmdet_ins_gcvit_digits'),
        long('mask2former_gcvit_digits'),
        long('cascade_lsa'),
    ],
)
def test_a_detectors_file_predicts_each_object_of_the_model_in_batches(exported, name, shape):
    """Classes are equal, boxes within a quarter of a pixel, and one mask pixel in a thousand may
    differ, at any score.
    """
    one = exported(name)
    graph = build_graph(one.model)
    session, _value = open_with_threshold(one.path, 0)
    model = keep_all_candidates(one.model)
    outputs, expected = predict_both(session, model, graph, make_random_images(*shape))
    number = len(expected['scores'])
    assert len(outputs['scores']) == number >= shape[0]
    outputs, expected = match_objects(outputs, expected, max(shape), FLOAT32)
    assert len(expected['scores']) == number
    np.testing.assert_array_equal(outputs['labels'], expected['labels'])
    np.testing.assert_allclose(outputs['boxes'], expected['boxes'], atol=0.25)
    if 'masks' in expected:
        differs = outputs['masks'] != expected['masks']
        if outputs['masks'].dtype != bool:  # probabilities inside the box
            differs = (outputs['masks'] > 0.5) != (expected['masks'] > 0.5)
        assert differs.mean() <= 0.001


def scale_scores(self, images):
    return 1.001 * FORWARD(self, images)


def skip_finest_level(extractor, rois, num_levels):
    levels = MAP_LEVELS(extractor, rois, num_levels)
    return levels.clamp(min=1) if torch.onnx.is_in_onnx_export() else levels


def ignore_classes(boxes, scores, nms, score_thr):
    """Apply NMS to the boxes of all classes together, and to each level of proposals as before."""
    num_boxes = boxes.shape[1]
    if score_thr >= 0:  # of the last NMS
        num_boxes = 10 * num_boxes
    boxes = boxes.reshape(-1, num_boxes, 4)
    return APPLY_NMS(boxes, scores.reshape(-1, num_boxes), nms, score_thr)


FORWARD = ClassifierGraph.forward
APPLY_NMS = two_stage_graph.apply_nms
MAP_LEVELS = SingleRoIExtractor.map_roi_levels
SCORES = (ClassifierGraph, 'forward', scale_scores)
LEVELS = (SingleRoIExtractor, 'map_roi_levels', skip_finest_level)
CLASSES = (two_stage_graph, 'apply_nms', ignore_classes)


@pytest.mark.parametrize(
    ('name', 'fault', 'words'),
    [
        ('gcvit_digits_cls', SCORES, r"scores differ from the model's by 0\.001 of their"),
        ('mask_rcnn_gcvit_digits', LEVELS, r'only \d+ match, not 99%'),
        ('mask_rcnn_gcvit_digits', CLASSES, r'only \d+ match, not 99%'),
        long('cascade_lsa', LEVELS, r'only \d+ match, not 99%'),
        long('cascade_lsa', CLASSES, r'only \d+ match, not 99%'),
    ],
)
def test_a_file_that_differs_from_the_model_is_not_written(
    name, fault, words, exported, monkeypatch, tmp_path
):
    model = exported(name).model
    path = tmp_path / 'model.onnx'
    monkeypatch.setattr(*fault)
    path.write_text('before')
    with pytest.raises(UserError, match=words):
        export_onnx(model, path)
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]


def test_equal_objects_match_one_to_one():
    objects = {'boxes': np.ones((3, 4))}
    for name in ('scores', 'labels', 'image_indices'):
        objects[name] = np.ones(3)
    assert [len(matched['boxes']) for matched in match_objects(objects, objects, 9, FLOAT32)] == [
        3,
        3,
    ]


def test_no_object_is_without_a_match_among_1500_proposals(tmp_path):
    """Most have a score below 1e-7, the precision of onnxruntime's sigmoid."""
    base = DEMO / 'mask_rcnn_gcvit_digits.py'
    limits = 'dict(rpn=dict(nms_pre=4000, max_per_img=1500))'
    config = tmp_path / 'crowds.py'
    config.write_text(f'_base_ = {str(base)!r}\nmodel = dict(test_cfg={limits})')
    model = load(config, DEMO / 'weights' / f'{base.stem}.safetensors', 'cpu')
    export_onnx(model, tmp_path / 'crowds.onnx')


def test_the_command_writes_a_file_and_does_not_overwrite_one(call, tmp_path, monkeypatch):
    target = tmp_path / 'digits.onnx'
    code, printed = call('export', DEMO / 'gcvit_digits_cls.py', target)
    assert code == 0
    assert f'{target}: classification, ' in printed
    assert "checked with onnxruntime: the outputs differ from PyTorch's by at most " in printed
    content = target.read_bytes()
    code, printed = call('export', DEMO / 'gcvit_digits_cls.py', target)
    assert (code, 'Choose another file, or remove it' in printed) == (1, True)
    assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]
    base = f'_base_ = {str(DEMO / "mask_rcnn_gcvit_digits.py")!r}\ntest_cfg = '
    (tmp_path / 'tiled.py').write_text(f"{base}dict(type='mmgcvit.TiledTestLoop', side=64)")
    weights = DEMO / 'weights' / 'mask_rcnn_gcvit_digits.safetensors'
    monkeypatch.setattr(
        'mmgcvit.export.onnx_file.export_onnx', lambda target, **_: Path(target).touch()
    )
    code, printed = call(
        'export', tmp_path / 'tiled.py', weights, tmp_path / 'tiled.onnx', '--no-check'
    )
    assert (code, 'cuts them into tiles of 64 px' in printed) == (0, True)


def test_the_command_says_its_option_where_the_library_says_its_argument(
    call, tmp_path, monkeypatch
):
    def differ(**_):
        raise ComparisonError(f'it differs. {NOT_WRITTEN}')

    monkeypatch.setattr('mmgcvit.export.onnx_file.export_onnx', differ)
    code, printed = call('export', DEMO / 'gcvit_digits_cls.py', tmp_path / 'x.onnx')
    assert code == 1
    sentence = 'With check=False it is written without this comparison: add --no-check'
    assert sentence in ' '.join(printed.split())


def test_each_task_can_be_exported_and_read():
    assert GRAPHS.keys() == READERS.keys() == TASK_BY_NAME.keys()


def test_a_model_of_another_task_is_not_exported(tmp_path):
    model = SimpleNamespace(task='keypoints')
    with pytest.raises(
        UserError, match=r'cannot export a keypoints model\. Export supports detection'
    ):
        export_onnx(model, tmp_path / 'x.onnx')
    assert not any(tmp_path.iterdir())


def test_the_command_writes_half_precision(call, tmp_path):
    target = tmp_path / 'half.onnx'
    code, printed = call('export', DEMO / 'gcvit_digits_cls.py', target, '--half')
    assert code == 0
    assert "checked with onnxruntime: the outputs differ from PyTorch's by at most " in printed
    file = onnx.load(target)
    assert onnx.TensorProto.FLOAT16 in {tensor.data_type for tensor in file.graph.initializer}
    assert OnnxPredictor(target).metadata['precision'] == 'float16'


@pytest.mark.long
def test_the_command_exports_the_instances_of_a_panoptic_mask2former(call, tmp_path):
    """mmdet's default of panoptic_on is True."""
    cfg = Config.fromfile(DEMO / 'mask2former_gcvit_digits.py')
    cfg.model.test_cfg.panoptic_on = True
    folder = make_work_dir(tmp_path / 'panoptic', 'detection', cfg)
    target = tmp_path / 'panoptic.onnx'
    with pytest.warns(UserWarning, match=r'panoptic .*is not exported'):
        code, printed = call('export', folder, target)
    assert (code, 'checked with onnxruntime' in printed) == (0, True)
    image = picture_of(150, 120)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # there are as many objects as the model returns at most
        found = OnnxPredictor(target, score_thr=0.0)(image)
    expected = load(folder, device='cpu', score_thr=0.0)(image)
    assert len(expected.boxes) > 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.25)


def test_the_onnx_predictor_has_the_thresholds_of_each_class(exported, photo, tmp_path):
    """A file's metadata are those that an export of the model with these thresholds has."""
    one = exported('mask_rcnn_gcvit_digits')
    everything = one.model(photo)
    classes = one.model.classes
    common = everything.class_names[0]
    model = one.model.with_score_thr({common: float(everything.scores[0])})
    content = onnx.load(one.path)
    metadata = collect_metadata(model, build_graph(model))
    onnx.helper.set_model_props(content, metadata)
    file = tmp_path / 'own.onnx'
    onnx.save(content, file)
    predictor = OnnxPredictor(file)
    assert predictor.score_thr == model.score_thr
    assert predictor.class_score_thr == dict(model.class_score_thr)
    expected = model.with_score_thr({common: 1.0})(photo)
    predictor = OnnxPredictor(file, score_thr={common: 1.0})
    found = predictor(photo)
    assert len(found.boxes) < len(everything.boxes)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert OnnxPredictor(file, score_thr=0.5).class_score_thr == {}
    with pytest.raises(ValueError, match='score_thr: the model has no class tiger'):
        OnnxPredictor(file, score_thr={'tiger': 0.5})
    for wrong in (-1, '0.5', True):
        with pytest.raises(
            ValueError, match=f'score_thr of {classes[0]}={wrong}: expected a number'
        ):
            OnnxPredictor(file, score_thr={classes[0]: wrong})
    for wrong in (-64, 1, '64', 64.5, True):
        with pytest.raises(ValueError, match=f'tiles={wrong!r}: expected an integer, at least 32'):
            OnnxPredictor(file, tiles=wrong)


def test_the_onnx_predictor_detects_the_same_objects_as_the_package(exported, photo):
    one = exported('mask_rcnn_gcvit_digits')
    found = OnnxPredictor(one.path)(photo)
    expected = one.model(photo)
    assert len(expected.boxes) > 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.class_names == expected.class_names
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.25)
    assert found.masks.shape == (len(expected.boxes), 300, 400)
    overlap = found.masks & expected.masks
    union = found.masks | expected.masks
    assert overlap.sum() > 0.995 * union.sum() > 0


@pytest.mark.parametrize(
    'name', ['dino', long('rtmdet_ins_gcvit_digits'), long('mask2former_gcvit_digits')]
)
@pytest.mark.parametrize('size', [(300, 400), (97, 261), (150, 120)])
def test_the_onnx_predictor_detects_what_models_of_other_heads_do(
    exported, name, size, monkeypatch
):
    """Random weights score low, so the threshold is 0. Boxes agree within a quarter of a pixel, and
    one mask pixel in a thousand may differ.
    """
    one = exported(name)
    monkeypatch.setattr(one.model, 'score_thr', 0.0)
    image = picture_of(*size)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # there are as many objects as the model returns at most
        found = OnnxPredictor(one.path, score_thr=0.0)(image)
    expected = one.model(image)
    assert len(expected.boxes) > 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.25)
    if name != 'dino':
        assert found.masks.shape == (len(expected.boxes), *size)
        assert (found.masks != expected.masks).mean() <= 0.001


@pytest.mark.parametrize(
    'name',
    [
        'mask_rcnn_gcvit_digits',
        release('mask2former_seg'),
        long('dino'),
        release('rtmdet_ins_gcvit_digits'),
        release('mask2former_gcvit_digits'),
    ],
)
def test_a_file_in_half_precision_is_smaller_and_close_to_the_model(exported, name, tmp_path):
    one = exported(name)
    path = tmp_path / 'half.onnx'
    difference = export_onnx(one.model, path, half=True)
    # Without rounding, the difference would be that of the float32 file, below 1e-4.
    assert FLOAT32.difference < difference.value <= HALF.difference
    assert path.stat().st_size < one.path.stat().st_size
    predictor = OnnxPredictor(path)
    assert predictor.metadata['precision'] == 'float16'
    assert type(predictor(picture_of(90, 130))).__name__ in ('Detections', 'Segmentation')


@pytest.mark.parametrize('name', NAMES)
def test_an_export_compares_the_file_and_leaves_the_model_as_it_is(exported, name):
    """It compares at three sizes and two batch sizes other than the traced ones."""
    one = exported(name)
    tolerance = DINO if name == 'dino' else FLOAT32
    assert 0 < one.difference.value <= tolerance.difference
    modules = [type(module).__module__ for module in one.model.network.modules()]
    assert not [module for module in modules if module.startswith('mmgcvit.export')]


def test_the_onnx_predictor_detects_in_tiles_and_warns_at_the_limit(exported, photo):
    image, digits, numbers = page_of(600, 500)
    predictor = OnnxPredictor(exported('mask_rcnn_gcvit_digits').path, tiles=TILE)
    found = predictor(image)
    assert matches(found, digits, numbers).any(1).mean() >= 0.9
    assert found.masks[0].shape == (600, 500)
    predictor.metadata['limit'] = '3'
    with pytest.warns(UserWarning, match='as many detections as the model returns at most, 3'):
        predictor(photo)


def test_the_onnx_predictor_predicts_the_same_scores_and_segmentation(exported, photo, tmp_path):
    path = write_image(tmp_path / 'digit.png', page_of(140, 130)[0])
    for name, image in (
        ('gcvit_digits_cls', path),
        ('lsa_digits_cls', path),
        ('upernet_lsa_digits', photo),
        ('mask2former_seg', photo),
        # The short side of a strip is resized to 16 px, which mmseg pads to 32.
        ('upernet_gcvit_objects', picture_of(40, 1280)),
    ):
        one = exported(name)
        if one.model.task == 'classification':
            with pytest.raises(ValueError, match='tiles=64: a classifier predicts whole images'):
                OnnxPredictor(one.path, tiles=64)
        with pytest.raises(ValueError, match='score_thr=30: expected a number from 0 to 1'):
            OnnxPredictor(one.path, score_thr=30)
        found = vars(OnnxPredictor(one.path)(image))
        expected = vars(one.model(image))
        assert found.keys() == expected.keys()
        for attribute, value in expected.items():
            if attribute == 'label_map':
                assert (found[attribute] == value).mean() > 0.999
            elif attribute == 'areas':
                np.testing.assert_allclose(found[attribute], value, atol=0.001 * value.sum())
            elif isinstance(value, float | np.ndarray):
                np.testing.assert_allclose(found[attribute], value, atol=1e-4)
            else:
                assert found[attribute] == value


def test_the_onnx_predictor_blends_the_same_tiles_of_a_segmentation(exported):
    one = exported('upernet_gcvit_objects')
    image = picture_of(200, 330)
    found = OnnxPredictor(one.path, tiles=128)(image)
    expected = one.model(image, tiles=128)
    assert (found.label_map == expected.label_map).mean() > 0.999
    assert found.label_map.dtype == np.int32
    assert found.areas.sum() == found.label_map.size


def test_a_file_says_what_limits_the_use_of_its_weights(exported):
    """Also that nothing is known to."""
    model = exported('mask_rcnn_gcvit_digits').model
    graph = build_graph(model)
    for limit in (None, 'not for commercial use'):
        metadata = collect_metadata(replace(model, weights_limit=limit), graph)
        assert metadata['weights_limit'] == (limit or '')
