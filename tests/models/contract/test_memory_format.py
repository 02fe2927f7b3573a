"""Maps come in the memory format that the config says, and necks and heads keep it."""

from functools import partial

import pytest
import torch
from mmdet.registry import MODELS

from mmgcvit import LSA, GCViT

from ...configs.models import on_meta, read
from ..fake_cuda import Case, autocast, fake_cuda, limit_depth

FORMATS = {'contiguous_format': torch.contiguous_format, 'channels_last': torch.channels_last}


@pytest.mark.parametrize('network', [partial(GCViT, 'xxtiny'), LSA], ids=['gcvit', 'lsa'])
def test_maps_have_the_same_numbers_in_either_memory_format(network):
    images = torch.randn(2, 3, 64, 96)
    expected = network().eval()
    for name, memory_format in FORMATS.items():
        found = network(memory_format=name).eval()
        found.load_state_dict(expected.state_dict())
        with torch.no_grad():
            for x, y in zip(found(images), expected(images), strict=True):
                assert torch.equal(x, y)
                assert x.is_contiguous(memory_format=memory_format)


@pytest.mark.skipif(not hasattr(torch.utils.checkpoint, 'GraphExecGroup'), reason='fake CUDA comes with torch 2.10')
@pytest.mark.parametrize('name', ['mask_rcnn_gcvit_t', 'upernet_gcvit_t'])
def test_channels_last_reaches_necks_and_heads_on_cuda(name):
    """By the strides of fake tensors: not one convolution there gets a map of another format.

    In float16: without a driver, torch does not know that cuDNN takes bfloat16.
    """
    cfg = read(name)
    cfg.merge_from_dict({'model.backbone.memory_format': 'channels_last'})
    limit_depth(cfg)
    model = on_meta(cfg).eval()
    inputs = []
    head = model.decode_head if hasattr(model, 'decode_head') else model.rpn_head
    for layer in [*model.modules()]:
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with fake_cuda(), torch.no_grad(), autocast(Case(name, (512, 512), torch.float16), 'cuda'):
        model._apply(lambda x: torch.full(x.shape, 0.01, dtype=x.dtype, device='cuda'))
        maps = model.backbone(torch.rand(2, 3, 512, 512, device='cuda'))
        inputs.clear()
        head(model.neck(maps) if model.with_neck else maps)
    assert inputs
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in inputs)


def test_regions_of_channels_last_maps_are_those_of_contiguous_ones():
    extractor = MODELS.build(
        {
            'type': 'mmgcvit.SingleRoIExtractor',
            'roi_layer': {'type': 'RoIAlign', 'output_size': 7, 'sampling_ratio': 0},
            'out_channels': 8,
            'featmap_strides': [4, 8],
        }
    )
    maps = [torch.randn(2, 8, 16, 16), torch.randn(2, 8, 8, 8)]
    corners = torch.rand(20, 2) * 30
    rois = torch.cat([torch.randint(2, (20, 1)).float(), corners, corners + 1 + torch.rand(20, 2) * 30], dim=1)
    expected = extractor(tuple(maps), rois)
    found = extractor(tuple(x.contiguous(memory_format=torch.channels_last) for x in maps), rois)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
