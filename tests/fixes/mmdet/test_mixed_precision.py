"""mmcv's operators get float32 in mixed precision, and images that are not finite give such losses,
in each detector's own modules.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from mmengine.utils import import_modules_from_strings

from ...configs.models import read

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


@pytest.mark.slow
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
