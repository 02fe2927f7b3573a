"""Count the parameters and multiply-adds of whole models, part by part: python tools/get_flops.py
CONFIG --shape H W.

torch's FlopCounterMode counts linear layers, convolutions and the matrix products of attention, but
not norms, activations, resizing, RoIAlign and the sampling of deformable attention. Models run on
torch's meta device, which computes only the shapes of tensors, so that large images take little
time and memory. The transformers of the DETR and MaskFormer families also need the values of
tensors, so they run on the CPU.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import CONFIG, add_cfg_options
from mmgcvit.errors import UserError
from mmgcvit.host.cfg_options import parse_cfg_options
from mmgcvit.host.config import enter_scope, locate_config, read_config
from mmgcvit.host.runners import list_modules
from mmgcvit.models.layers.padding import ceil_div
from mmgcvit.models.speed_up import speed_up

# Papers count the multiply-adds of two-stage detectors for these numbers of RoIs.
NUM_BOX_ROIS, NUM_MASK_ROIS = 1000, 100
# Modules whose batched matrix products are those of resizing: the global query generator, LSA's
# position embedding.
RESIZING = ('.global_query', '.position')
# The children of a DETR detector that run before its transformer.
BEFORE_TRANSFORMER = ('data_preprocessor', 'backbone', 'neck')
# The heads of one-stage models, with the name that their part has in a table.
HEADS = {
    'panoptic_head': 'panoptic head',
    'decode_head': 'decode head',
    'head': 'head',
    'bbox_head': 'box head',
}


@dataclass(frozen=True)
class Part:
    """A part of a model, for example ``'backbone'``, with its parameters and its multiply-adds for
    one image.
    """

    name: str
    parameters: int
    macs: int


def count_macs(function: Callable[[], object]) -> int:
    """Count the multiply-adds of a function that runs a model, without those of resizing, as papers
    do.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    resizing = (
        ops.get(torch.ops.aten.bmm, 0)
        for name, ops in counter.get_flop_counts().items()
        if name.endswith(RESIZING)
    )
    return (counter.get_total_flops() - sum(resizing)) // 2


def count_parameters(module: nn.Module) -> int:
    """Count the values in the parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_by_part(model: nn.Module, size: tuple[int, int]) -> list[Part]:
    """Count the parameters and multiply-adds, for one image, of the parts of a model that run in
    inference.

    The model is one of mmpretrain, mmseg or mmdet. Two-stage detectors are counted with 1000 RoIs
    for boxes and 100 for masks, segmentors without the auxiliary head, which only training uses.
    The model cannot be used afterwards, since parts of it are moved to the meta device.
    """
    speed_up(model.eval())  # as the commands do
    is_detr = hasattr(model, 'forward_transformer')
    for name, child in model.named_children():
        # The heads of the MaskFormer family, which have a pixel decoder, stay on the CPU too.
        if name in BEFORE_TRANSFORMER or not (is_detr or hasattr(child, 'pixel_decoder')):
            child.to('meta')
    feats = torch.empty(1, getattr(model.backbone, 'in_channels', 3), *size, device='meta')
    parts = []
    for name, module, run in iter_parts(model):
        inputs, outputs = feats, []
        macs = count_macs(
            lambda run=run, inputs=inputs, outputs=outputs: outputs.append(run(inputs))
        )
        parts.append(Part(name, count_parameters(module), macs))
        if name in ('backbone', 'neck'):
            feats = outputs[0]
    return parts


def iter_parts(model: nn.Module) -> Iterator[tuple[str, nn.Module, Callable[[Any], Any]]]:
    """Yield the name and module of each part, in the order in which they run, and a function that
    runs the part.
    """
    for name in ('backbone', 'neck', 'rpn_head'):
        if (module := getattr(model, name, None)) is not None:
            yield name.replace('_', ' '), module, module
    if getattr(model, 'roi_head', None) is not None:
        yield from iter_roi_parts(model.roi_head)
        return
    if hasattr(model, 'forward_transformer'):
        children = [
            child for name, child in model.named_children() if name not in BEFORE_TRANSFORMER
        ]
        yield (
            'transformer and box head',
            nn.ModuleList(children),
            partial(run_detr_transformer, model),
        )
        return
    for name, label in HEADS.items():
        if (head := getattr(model, name, None)) is not None:
            has_queries = hasattr(head, 'pixel_decoder')
            yield label, head, (lambda feats: head(make_zeros(feats), [])) if has_queries else head
            return
    raise UserError(
        f'the parts of {type(model).__name__} cannot be counted. Expected a roi_head, '
        'panoptic_head, decode_head, '
        'head or bbox_head'
    )


def make_zeros(feats: tuple[Tensor, ...]) -> list[Tensor]:
    """Return zeros on the CPU in the shapes of feature maps, for the parts that do not run on the
    meta device.
    """
    return [torch.zeros(feat.shape) for feat in feats]


def run_detr_transformer(model: nn.Module, feats: tuple[Tensor, ...]) -> object:
    """Run the transformer and box head of a DETR detector on the CPU, on zeros of the feature maps'
    shapes.
    """
    from mmdet.structures import DetDataSample

    size = tuple(8 * side for side in feats[0].shape[2:])  # the finest feature map has stride 8
    sample = DetDataSample(metainfo={'batch_input_shape': size, 'img_shape': size})
    return model.bbox_head(
        **model.forward_transformer(make_zeros(feats), batch_data_samples=[sample])
    )


def iter_roi_parts(
    roi_head: nn.Module,
) -> Iterator[tuple[str, nn.Module, Callable[[Any], Any]]]:
    """Yield the box and mask heads of a two-stage detector.

    In a cascade the heads of all stages run.
    """
    for kind, num_rois in (('bbox', NUM_BOX_ROIS), ('mask', NUM_MASK_ROIS)):
        if getattr(roi_head, f'{kind}_head', None) is None:
            continue
        heads = list_modules(getattr(roi_head, f'{kind}_head'))
        extractors = list_modules(getattr(roi_head, f'{kind}_roi_extractor'))
        for i, (head, extractor) in enumerate(zip(heads, extractors, strict=True), start=1):
            output_size = extractor.roi_layers[0].output_size
            rois = torch.empty(num_rois, extractor.out_channels, *output_size, device='meta')
            name = f'{kind} head {i}' if len(heads) > 1 else f'{kind} head'
            yield name, head, lambda _, head=head, rois=rois: head(rois)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', type=locate_config, help=CONFIG)
    size, text = ('HEIGHT', 'WIDTH'), 'image size in pixels, for example 800 1280'
    parser.add_argument('--shape', type=int, nargs=2, required=True, metavar=size, help=text)
    add_cfg_options(parser)


def main(args: argparse.Namespace) -> None:
    cfg = read_config(args.config, parse_cfg_options(args.cfg_options))
    enter_scope(cfg)
    model = MODELS.build(cfg.model)
    parameters = count_parameters(model)
    divisor = getattr(getattr(model, 'data_preprocessor', None), 'pad_size_divisor', 1)
    height, width = padded = tuple(ceil_div(side, divisor) * divisor for side in args.shape)
    parts = count_by_part(model, padded)
    note = '' if padded == tuple(args.shape) else f', padded to multiples of {divisor}'
    print(f'{args.config}, one image of {height}x{width} px (height x width){note}\n')
    print('| part | parameters (M) | multiply-adds (G) |\n|---|---|---|')
    for part in parts:
        print(f'| {part.name} | {part.parameters / 1e6:.2f} | {part.macs / 1e9:.2f} |')
    print(
        f'| **whole model** | **{parameters / 1e6:.2f}** | '
        f'**{sum(part.macs for part in parts) / 1e9:.2f}** |'
    )


if __name__ == '__main__':
    run_command(sys.modules[__name__])
