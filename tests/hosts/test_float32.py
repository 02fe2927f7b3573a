"""In mixed precision with bfloat16, mmcv's operators get float32 and the backbone computes in bfloat16."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from mmengine.utils import import_modules_from_strings

from ..conftest import ROOT

SMALL = {'embed_dims': 16, 'depths': (1, 1, 1, 1), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}


def small_detector(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope('mmdet')
    cfg.model.backbone.update(arch=SMALL, init_cfg=None)
    cfg.model.neck.in_channels = [16 * 2**i for i in cfg.model.backbone.get('out_indices', range(4))]
    if 'num_queries' in cfg.model:
        cfg.model.update(num_queries=20)
        cfg.model.encoder.num_layers = cfg.model.decoder.num_layers = 1
    return MODELS.build(cfg.model).train()


@pytest.fixture
def truth():
    sample = DetDataSample(metainfo={'batch_input_shape': (64, 64), 'img_shape': (64, 64), 'pad_shape': (64, 64)})
    boxes, labels = torch.tensor([[4.0, 4.0, 40.0, 50.0]]), torch.tensor([3])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return [sample]


def dtypes_in_training(model, parts, truth):
    """What goes into each of the parts in a step of mixed precision, and what the backbone computes in."""
    seen = {'backbone': set()}
    model.backbone.stages[0].blocks[0].mlp.fc1.register_forward_hook(lambda *args: seen['backbone'].add(args[2].dtype))
    for name, part in parts.items():
        seen[name] = set()

        def note(module, args, kwargs, name=name):
            tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
            seen[name].update(x.dtype for x in tensors if x.is_floating_point())

        part.register_forward_pre_hook(note, with_kwargs=True)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(torch.randn(1, 3, 64, 64), truth)
    for loss in losses.values():
        for value in loss if isinstance(loss, list) else [loss]:
            assert torch.isfinite(value).all()
    return seen


def test_anchors_and_roi_align_are_in_float32(truth):
    model = small_detector('faster_rcnn_gcvit_t_boxonly')
    with torch.autocast('cpu', torch.bfloat16):
        predictions = model.rpn_head([torch.randn(1, 256, 8, 8)])
    assert {levels[0].dtype for levels in predictions} == {torch.float32}
    layers = {f'level {i}': layer for i, layer in enumerate(model.roi_head.bbox_roi_extractor.roi_layers)}
    seen = dtypes_in_training(model, layers, truth)
    assert seen.pop('backbone') == {torch.bfloat16}
    assert set().union(*seen.values()) == {torch.float32}


def test_deformable_attention_and_focal_loss_get_float32(truth):
    model = small_detector('dino_gcvit_t_12e')
    parts = {'attention': model.encoder.layers[0].self_attn, 'focal loss': model.bbox_head.loss_cls}
    seen = dtypes_in_training(model, parts, truth)
    assert seen.pop('backbone') == {torch.bfloat16}
    assert seen == {'attention': {torch.float32}, 'focal loss': {torch.float32}}


@pytest.mark.parametrize(
    'path',
    sorted(path for name in ('*rcnn*', 'cascade*', 'custom_coco*') for path in (ROOT / 'configs').glob(f'{name}.py')),
)
def test_every_detector_of_two_stages_has_these_parts(path):
    head = Config.fromfile(path).model.roi_head
    kinds = {head[key].type for key in ('bbox_roi_extractor', 'mask_roi_extractor') if head.get(key)}
    assert kinds == {'mmgcvit.SingleRoIExtractor'}
    assert Config.fromfile(path).model.rpn_head.type == 'mmgcvit.RPNHead'
