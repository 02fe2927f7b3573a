"""Parameters and multiply-adds of whole models, part by part.

Counted on torch's meta device, where nothing is computed: there attention is made of plain products, which torch's
counter sees (it misses the CPU's fused kernel), and images of any size cost nothing. Every linear layer, convolution
and attention product counts once; norms, activations, resizing, RoIAlign and the sampling of deformable attention hold
none. Transformers of the DETR and MaskFormer families look at the values of their positions, so these run for real, on
the CPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from ..errors import UserError

# What papers count detectors with two stages at.
NUM_BOX_ROIS, NUM_MASK_ROIS = 1000, 100


class Part(NamedTuple):
    """A part of a model, as ``'backbone'``: how many numbers it learns, and its multiply-adds for one image."""

    name: str
    parameters: int
    macs: int


def count_macs(function: Callable[[], object]) -> int:
    """Multiply-adds of what a function computes on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    return counter.get_total_flops() // 2


def count_parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_parts(model: nn.Module, size: tuple[int, int]) -> list[Part]:
    """The parts of a model of mmpretrain, mmseg or mmdet that run when it predicts, for one image.

    Two-stage detectors: 1000 boxes and 100 masks. Segmentors: without the auxiliary head, which is for training.
    Trackers: of their detector, for one frame. The model is moved to the meta device in part, so that it is of no
    further use.
    """
    model = getattr(model, 'detector', model).eval()
    for name, child in model.named_children():
        if not is_of_transformer(model, name) and not hasattr(child, 'pixel_decoder'):  # of the MaskFormer family
            child.to('meta')
    maps: tuple[Tensor, ...] = (torch.empty(1, getattr(model.backbone, 'in_channels', 3), *size, device='meta'),)
    parts = []
    for name, module, call in iter_steps(model):
        given, results = maps, []
        macs = count_macs(lambda call=call, given=given, results=results: results.append(call(given)))
        parts.append(Part(name, count_parameters(module), macs))
        if name in ('backbone', 'neck'):
            maps = results[0]
    return parts


def iter_steps(model: nn.Module) -> Iterator[tuple[str, nn.Module, Callable]]:
    """The parts of a model in the order in which they run, each with how it is called on the maps before it."""
    yield 'backbone', model.backbone, lambda maps: model.backbone(maps[0])
    if getattr(model, 'neck', None) is not None:
        yield 'neck', model.neck, model.neck
    if getattr(model, 'rpn_head', None) is not None:
        yield 'rpn head', model.rpn_head, model.rpn_head
    if getattr(model, 'roi_head', None) is not None:
        yield from iter_roi_steps(model.roi_head)
    elif getattr(model, 'panoptic_head', None) is not None:
        yield 'panoptic head', model.panoptic_head, partial(run_query_segmentor, model.panoptic_head)
    elif getattr(model, 'decode_head', None) is not None:
        head = model.decode_head
        is_by_masks = hasattr(head, 'pixel_decoder')
        yield 'decode head', head, partial(run_query_segmentor, head) if is_by_masks else head
    elif getattr(model, 'head', None) is not None:
        yield 'head', model.head, model.head
    elif hasattr(model, 'forward_transformer'):
        children = [child for name, child in model.named_children() if is_of_transformer(model, name)]
        yield 'transformer and box head', nn.ModuleList(children), partial(detect_by_queries, model)
    elif getattr(model, 'bbox_head', None) is not None:
        yield 'box head', model.bbox_head, model.bbox_head
    else:
        raise UserError(f'cannot count the parts of {type(model).__name__} after its backbone')


def is_of_transformer(model: nn.Module, child: str) -> bool:
    """Whether a model is of the DETR family, and this child is part of what it has behind its neck."""
    return hasattr(model, 'forward_transformer') and child not in ('data_preprocessor', 'backbone', 'neck')


def run_query_segmentor(head: nn.Module, maps: tuple[Tensor, ...]) -> object:
    """Pixel decoder and decoder of a head of the MaskFormer family, for maps of these shapes of one image."""
    with count_attention():
        return head([torch.zeros(found.shape) for found in maps], [])


def detect_by_queries(model: nn.Module, maps: tuple[Tensor, ...]) -> object:
    """Encoder, decoder and box head of a detector of the DETR family, for maps of these shapes of one image."""
    from mmdet.structures import DetDataSample

    size = tuple(8 * side for side in maps[0].shape[2:])
    sample = DetDataSample(metainfo={'batch_input_shape': size, 'img_shape': size})
    maps = [torch.zeros(found.shape) for found in maps]
    with count_attention():
        return model.bbox_head(**model.forward_transformer(maps, batch_data_samples=[sample]))


@contextmanager
def count_attention() -> Iterator[None]:
    """Gradients, without which torch's attention takes a kernel that its counter does not see; nothing is kept."""
    with torch.enable_grad(), saved_tensors_hooks(lambda _: None, lambda _: None):
        yield


def iter_roi_steps(roi_head: nn.Module) -> Iterator[tuple[str, nn.Module, Callable]]:
    """The box and mask heads of a two-stage detector, those of every stage of a cascade: it averages their results."""
    for kind, num_rois in (('bbox', NUM_BOX_ROIS), ('mask', NUM_MASK_ROIS)):
        if getattr(roi_head, f'{kind}_head', None) is None:
            continue
        heads = as_list(getattr(roi_head, f'{kind}_head'))
        extractors = as_list(getattr(roi_head, f'{kind}_roi_extractor'))
        for i, (head, extractor) in enumerate(zip(heads, extractors, strict=True), start=1):
            output_size = extractor.roi_layers[0].output_size
            rois = torch.empty(num_rois, extractor.out_channels, *output_size, device='meta')
            name = f'{kind} head {i}' if len(heads) > 1 else f'{kind} head'
            yield name, head, lambda _, head=head, rois=rois: head(rois)


def as_list(module: nn.Module) -> list[nn.Module]:
    """The modules of a list, or the one module there is."""
    return list(module) if isinstance(module, nn.ModuleList) else [module]
