"""Subclasses of mmdet's modules: non-finite values, float32 in mixed precision, EXIF rotation,
DINO's decoder.
"""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv.transforms import LoadImageFromFile
from mmdet import models as mmdet
from mmdet.models import task_modules
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, TASK_UTILS, init_default_scope
from mmengine.structures import InstanceData
from mmengine.utils import import_modules_from_strings
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmgcvit import mmdet_fixes
from mmgcvit.config import iter_dicts
from mmgcvit.errors import UserError
from tools.get_flops import count_parameters

from .configs.models import ENTRIES, build_on_meta, read
from .conftest import ROOT

NAN = float('nan')
INF = float('inf')
MASK2FORMER = 'other_heads/mask2former_gcvit_t'
RTMDET = 'other_heads/rtmdet_ins_gcvit_t'
# The channels of the variant tiny, and as few blocks as possible.
SMALL = {'embed_dims': 64, 'depths': (1,) * 4, 'num_heads': (2, 4, 8, 16), 'mlp_ratio': 1}


def small_detector(name):
    cfg = read(name)
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope('mmdet')
    cfg.model.backbone.update(arch=SMALL, init_cfg=None)
    if 'num_queries' in cfg.model:
        cfg.model.num_queries = 20  # of the 85 tokens of an image
    model = MODELS.build(cfg.model)
    # Before init_weights, some parameters of mmdet's DINO are uninitialised memory.
    model.init_weights()
    return model.train()


@pytest.fixture
def data_samples():
    sample = DetDataSample(
        metainfo={'batch_input_shape': (64, 64), 'img_shape': (64, 64), 'pad_shape': (64, 64)}
    )
    boxes = torch.tensor([[4.0, 4.0, 40.0, 50.0]])
    labels = torch.tensor([3])
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[:, 4:50, 4:40] = 1
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels, masks=BitmapMasks(mask, 64, 64))
    return [sample]


FLOAT32 = {torch.float32}
BFLOAT16 = {torch.bfloat16}
# By config: modules of the detector, and the dtype of their inputs if the backbone runs in
# bfloat16.
PARTS = {
    'faster_rcnn_gcvit_t_boxonly': {
        f'roi_head.bbox_roi_extractor.roi_layers.{i}': FLOAT32 for i in range(4)
    },
    'dino_gcvit_t_12e': {'encoder.layers.0.self_attn': FLOAT32, 'bbox_head.loss_cls': FLOAT32},
    MASK2FORMER: {
        'panoptic_head.pixel_decoder.encoder.layers.0.self_attn': FLOAT32,
        'panoptic_head.pixel_decoder.mask_feature': FLOAT32,
    },
    RTMDET: {'bbox_head.mask_head.projection': BFLOAT16},
}


@pytest.mark.parametrize('name', PARTS)
def test_mmcv_operators_get_float32_in_mixed_precision_and_nonfinite_images_give_such_losses(
    name, data_samples
):
    model = small_detector(name)
    seen = {}
    parts = ['backbone.stages.0.blocks.0.mlp.fc2', *PARTS[name]]
    for part in parts:

        def note(module, args, kwargs, part=part):
            tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
            seen.setdefault(part, set()).update(x.dtype for x in tensors if x.is_floating_point())

        model.get_submodule(part).register_forward_pre_hook(note, with_kwargs=True)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(torch.randn(1, 3, 64, 64), deepcopy(data_samples))
        if 'rcnn' in name:
            predictions = model.rpn_head([torch.randn(1, 256, 8, 8)])
            assert {levels[0].dtype for levels in predictions} == FLOAT32
    assert model.parse_losses(losses)[0].isfinite()
    # Levels without RoIs are not called.
    assert seen.pop(parts[0]) == BFLOAT16
    assert seen
    assert all(dtypes == PARTS[name][part] for part, dtypes in seen.items())
    for value in (NAN, INF, 1e38):
        image = torch.randn(1, 3, 64, 64)
        image[0, 1, 20, 30] = value
        losses = model.loss(image, deepcopy(data_samples))
        assert not model.parse_losses(losses)[0].isfinite(), value


def test_configs_use_these_modules_instead_of_mmdets():
    ours = {name for name, kind in vars(mmdet_fixes).items() if isinstance(kind, type)}
    for name in ('*rcnn*', 'cascade*', 'custom_coco', 'dino*', 'other_heads/*'):
        for path in (ROOT / 'configs').glob(f'{name}.py'):
            types = {part.get('type') for part in iter_dicts(Config.fromfile(path).model)}
            assert not ours & types, path


def draw_boxes(rng, number):
    """Return boxes (n, 4) on a coarse grid, where some are equal."""
    corners = 5.3 * rng.integers(-2, 10, (2, number, 2)).astype(np.float32)
    return torch.from_numpy(np.concatenate([corners.min(0), corners.max(0)], 1))


@pytest.mark.parametrize('kind', ['bitmaps', 'soft targets', 'polygons'])
@given(st.integers(0, 2**32 - 1))
def test_mask_targets_equal_mmdets_bit_for_bit(kind, seed):
    """Images may have no objects, and boxes may be outside of the image."""
    rng = np.random.default_rng(seed)
    cfg = ConfigDict(mask_size=7, soft_mask_target=kind == 'soft targets')
    results = []
    objects = []
    for num_boxes, num_objects in ((0, 0), rng.integers(1, 9, 2)):
        assigned = torch.from_numpy(rng.integers(0, max(num_objects, 1), num_boxes))
        boxes = draw_boxes(rng, num_boxes)
        results.append(SimpleNamespace(pos_priors=boxes, pos_assigned_gt_inds=assigned))
        masks = BitmapMasks(rng.integers(0, 2, (num_objects, 30, 40), np.uint8), 30, 40)
        if kind == 'polygons':
            masks = PolygonMasks([[rng.uniform(0, 30, 8)] for _ in range(num_objects)], 30, 40)
        objects.append(InstanceData(masks=masks))
    found, expected = (
        head(num_convs=0).get_targets(results, objects, rcnn_train_cfg=cfg)
        for head in (mmdet_fixes.FCNMaskHead, mmdet.FCNMaskHead)
    )
    assert torch.equal(found, expected)


def test_samples_are_drawn_on_the_boxes_device_and_equal_mmdets_on_a_cpu():
    drawn = []
    for package in (task_modules, mmdet_fixes):
        torch.manual_seed(0)
        sampler = package.RandomSampler(9, 0.5)
        drawn.append(sampler.random_choice(torch.arange(50) * 2, 9))
    assert torch.equal(*drawn)
    assert sampler.random_choice(torch.empty(50, device='meta'), 9).is_meta


@pytest.mark.parametrize('part', ['bboxes', 'scores'])
@pytest.mark.parametrize('value', [None, NAN, INF, -INF, 3e38])
def test_assigner_accepts_nonfinite_predictions_and_otherwise_equals_mmdets(value, part):
    init_default_scope('mmdet')
    settings = read('dino_gcvit_t_12e').model.train_cfg.assigner
    objects = InstanceData(
        bboxes=torch.tensor([[1.0, 2, 30, 40], [30, 10, 60, 60]]), labels=torch.tensor([3, 0])
    )
    found = InstanceData(bboxes=torch.rand(20, 4) * 50 + 20, scores=torch.randn(20, 5) * 4)
    if value is not None:
        found[part][:] = value
    ours, theirs = (
        package.HungarianAssigner(settings.match_costs) for package in (mmdet_fixes, task_modules)
    )
    arguments = (found, objects, {'img_shape': (64, 64)})
    assigned = ours.assign(*arguments).gt_inds
    assert (assigned > 0).sum() == 2
    if value is None:
        assert torch.equal(assigned, theirs.assign(*arguments).gt_inds)


# The settings of all assigners in configs, by their text, but matchers, which check-data names.
ASSIGNERS = {}
for part in iter_dicts([read(name).model for name in (*PARTS, 'cascade_gcvit_t')]):
    settings = part.get('assigner')
    if settings and 'Hungarian' not in settings.type:
        ASSIGNERS[str(settings)] = settings


@pytest.mark.parametrize('name', ASSIGNERS)
@given(st.integers(0, 2**32 - 1))
def test_background_on_ignored_objects_is_not_trained_and_all_else_is_as_in_mmdet(name, seed):
    init_default_scope('mmdet')
    rng = np.random.default_rng(seed)
    settings = ASSIGNERS[name]
    boxes, objects, ignored = (draw_boxes(rng, number) for number in rng.integers(0, 5, 3))
    predictions = InstanceData(bboxes=boxes, priors=boxes, scores=torch.zeros(len(boxes), 1))
    truth = InstanceData(bboxes=objects, labels=torch.zeros(len(objects), dtype=torch.long))
    theirs = {**settings, 'type': settings.type.replace('mmgcvit', 'mmdet')}
    theirs.pop('ignore_iof_thr')
    expected = TASK_UTILS.build(theirs).assign(predictions, truth)
    if len(boxes) and len(ignored):
        is_on = bbox_overlaps(boxes, ignored, 'iof').amax(1) > 0.5
        expected.gt_inds[is_on & (expected.gt_inds == 0)] = -1
    found = TASK_UTILS.build(settings).assign(predictions, truth, InstanceData(bboxes=ignored))
    if len(boxes) and (expected.gt_inds < 0).all():  # heads need a sample
        expected.gt_inds[found.gt_inds.argmax()] = 0
    assert torch.equal(found.gt_inds, expected.gt_inds)
    assert torch.equal(found.labels, expected.labels)


@pytest.mark.parametrize('name', ASSIGNERS)
def test_with_an_ignore_iof_thr_of_minus_one_ignored_objects_are_background_as_in_mmdet(name):
    init_default_scope('mmdet')
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    predictions = InstanceData(bboxes=boxes, priors=boxes, scores=torch.zeros(2, 1))
    truth = InstanceData(bboxes=boxes[:0], labels=torch.zeros(0, dtype=torch.long))
    assigner = TASK_UTILS.build({**ASSIGNERS[name], 'ignore_iof_thr': -1})
    found = assigner.assign(predictions, truth, InstanceData(bboxes=boxes[:1]))
    assert found.gt_inds.tolist() == [0, 0]


@pytest.mark.parametrize('orientation', [6, 8, 5, 1])
@pytest.mark.parametrize('annotated', [(60, 40), (40, 60), (61, 40), None])
def test_exif_rotation_is_applied_unless_annotations_have_the_stored_size(
    annotated, orientation, tmp_path
):
    pixels = np.zeros((40, 60, 3), np.uint8)
    exif = Image.Exif()
    path = tmp_path / 'x.png'
    pixels[:, :30], exif[0x0112] = 255, orientation
    Image.fromarray(pixels).save(path, exif=exif)
    sizes = dict(zip(('width', 'height'), annotated, strict=True)) if annotated else {}
    results = LoadImageFromFile().transform({'img_path': str(path), **sizes})
    results = mmdet_fixes.ApplyExifAsAnnotated().transform(results)
    is_stored = annotated == (60, 40) or orientation == 1
    assert np.array_equal(results['img'], pixels) == is_stored
    shape = (40, 60) if is_stored else (60, 40)
    assert results['img'].shape[:2] == results['img_shape'] == results['ori_shape'] == shape


@pytest.mark.parametrize('name', [name for name in ENTRIES if 'dino_' in name])
def test_dino_with_resnet_50_has_the_state_dict_of_mmdet(name):
    """With both distributions of mmdet. DINO's outputs: checkpoints/test_dino.py.

    tests/data/dino_r50_mmdet.txt has names and shapes of the weights of mmdet 3.3.0's
    dino-4scale_r50_8xb2-12e_coco, without the backbone's.
    """
    cfg = read(name)
    cfg.model.backbone = {'type': 'ResNet', 'depth': 50}
    cfg.model.neck.in_channels = [512, 1024, 2048]
    model = build_on_meta(cfg)
    lines = [
        f'{name} {tuple(x.shape)}'
        for name, x in model.state_dict().items()
        if not name.startswith('backbone')
    ]
    assert lines == (ROOT / 'tests/data/dino_r50_mmdet.txt').read_text().splitlines()
    assert count_parameters(model) == 47_702_412


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),  # the class
            st.integers(4, 120),  # the side of the object: small, medium or large
            st.integers(0, 60),  # how far the detection is beside it
            st.integers(1, 99),  # its score in percent
        ),
        max_size=8,
    )
)
def test_a_summary_has_the_scores_of_pycocotools(objects):
    """With a limit of 100, under which alone pycocotools looks mAP up."""
    truths = []
    found = []
    for number, (label, side, shift, percent) in enumerate(objects, start=1):
        common = {'id': number, 'image_id': 1 + number % 2, 'category_id': label, 'iscrowd': 0}
        left = 200 * number
        box = {'bbox': [left, 0, side, side], 'area': side**2}
        truths.append({**common, **box})
        box = {'bbox': [left + shift, 0, side, side], 'area': side**2}
        found.append({**common, **box, 'score': percent / 100})
    stats = []
    for evaluation_type in (COCOeval, mmdet_fixes.UnlimitedCOCOeval):
        coco = []
        for annotations in (truths, found):
            api = COCO()
            api.dataset = {
                'images': [{'id': 1}, {'id': 2}],
                'categories': [{'id': 0}, {'id': 1}],
                'annotations': deepcopy(annotations),
            }
            api.createIndex()
            coco.append(api)
        evaluation = evaluation_type(*coco, 'bbox')
        evaluation.params.maxDets = [100, 100, 100]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        stats.append(evaluation.stats)
    np.testing.assert_allclose(*stats, rtol=1e-12)


@pytest.mark.parametrize(
    ('args', 'kwargs'),
    [((), {'proposal_nums': (100, 300, 1000)}), ((None, 'bbox', False, (100, 300, 1000)), {})],
)
def test_a_limit_of_detections_is_refused_with_what_to_do(args, kwargs):
    """mmdet's arguments, of which this metric sets one itself."""
    with pytest.raises(UserError, match=r'takes no proposal_nums. Remove it, or use mmdet\.Coco'):
        mmdet_fixes.CocoMetric(*args, **kwargs)
