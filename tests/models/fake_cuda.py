"""Run training steps on fake CUDA tensors: shapes, dtypes, devices and strides.

Classifiers and segmentors run the whole step, detectors what does not depend on boxes or classes.

torch's fake tensors have shape, dtype, device and strides but no numbers. They raise where a number is read, where a
size depends on numbers, and where devices are mixed. They lack a backward pass, as torch's engine asks the driver for
streams: here Python walks the graph instead.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from unittest import mock

import torch
from mmengine.structures import PixelData
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmgcvit.models.layers.arguments import resolve_arch
from mmgcvit.registry import MODELS

from ..configs.models import build_on_meta, read

BATCH = 2
# Blocks of a stage at most: local and global blocks alternate.
DEPTH = 2


@dataclass(frozen=True)
class Case:
    """A config with options, an image size, and the dtype of autocast or None."""

    config: str
    size: tuple[int, int]
    dtype: torch.dtype | None
    changes: tuple[tuple[str, object], ...] = ()

    def __str__(self):
        changes = [f'{name.rsplit(".", 1)[-1]}={value}' for name, value in self.changes]
        return ' '.join(
            [self.config, f'{self.size[0]}x{self.size[1]}', str(self.dtype).removeprefix('torch.'), *changes]
        )


@contextmanager
def fake_cuda():
    """A context in which ``'cuda'`` is a device of fake tensors, with CUDA's autocast."""
    with ExitStack() as stack:
        # torch.autocast would turn itself off.
        for name, answer in (('amp.common.amp_definitely_not_available', False), ('is_bf16_supported', True)):
            stack.enter_context(mock.patch(f'torch.cuda.{name}', return_value=answer))
        yield stack.enter_context(FakeTensorMode())


def limit_depth(cfg):
    """Give each stage of a backbone at most :data:`DEPTH` blocks."""
    backbone, network = cfg.model.backbone, MODELS.get(str(cfg.model.backbone.type))
    arch = vars(resolve_arch(backbone.get('arch', network.default_arch), network.archs))
    backbone.arch = {**arch, 'depths': tuple(min(blocks, DEPTH) for blocks in arch['depths'])}


def run(case):
    """Return tensors by name: the maps in inference, and losses and gradients of a training step."""
    cfg = read(case.config)
    cfg.merge_from_dict(dict(case.changes))
    limit_depth(cfg)
    model = build_on_meta(cfg)
    with fake_cuda():
        # Some numbers as weights: initialisation would read some.
        model._apply(lambda x: torch.full(x.shape, 0.01, dtype=x.dtype, device='cuda'))
        model.data_preprocessor.to('cuda')
        autocast = partial(torch.autocast, 'cuda', case.dtype, enabled=case.dtype is not None)
        with torch.no_grad(), autocast():
            maps = model.eval().extract_feat(torch.rand(BATCH, 3, *case.size, device='cuda'))
        with autocast():
            losses = LOSSES[type(model.data_preprocessor).__name__](model.train(), case)
        back(sum(losses.values()))
    gradients = {f'gradient of {name}': p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {f'map {i}': x for i, x in enumerate(maps)} | losses | gradients


def back(loss):
    """``loss.backward()`` in Python, for fake tensors. Assert what torch's engine would convert silently."""
    waiting = {loss.grad_fn: {0: torch.ones_like(loss)}}
    # Recomputes activations once, as in torch's own backward pass.
    with torch.no_grad(), torch.utils.checkpoint.GraphExecGroup():
        while waiting:
            node = max(waiting, key=lambda node: node._sequence_nr())
            arrived, expected = waiting.pop(node), node._input_metadata
            for i, gradient in arrived.items():
                assert gradient.device == expected[i].device, node
                assert gradient.shape == tuple(expected[i].shape), node
            if hasattr(node, 'variable'):
                gradient, x = arrived[0].contiguous(), node.variable  # laid out as torch's engine does
                assert gradient.dtype == x.dtype, node
                x.grad = gradient if x.grad is None else x.grad + gradient
                continue
            of_python = isinstance(node, torch.autograd.function.BackwardCFunction)
            missing = partial(torch.zeros, device=loss.device) if of_python else lambda *_, **__: None
            inputs = [
                arrived[i] if i in arrived else missing(tuple(x.shape), dtype=x.dtype) for i, x in enumerate(expected)
            ]
            outputs = node.apply(*inputs) if of_python else node(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            for (before, i), gradient in zip(node.next_functions, outputs, strict=True):
                if before is not None and gradient is not None:
                    wanted = before._input_metadata[i]
                    gradient = gradient.to(wanted.dtype).sum_to_size(tuple(wanted.shape))
                    others = waiting.setdefault(before, {})
                    others[i] = others[i] + gradient if i in others else gradient


def classification_losses(model, case):
    """Compute the losses of the whole model, with mixup or cutmix."""
    from mmpretrain.structures import DataSample

    # Scores, as mmpretrain reads labels that are numbers to check them.
    samples = [DataSample().set_gt_score(torch.rand(model.head.num_classes)) for _ in range(BATCH)]
    images = torch.randint(256, (BATCH, 3, *case.size), dtype=torch.uint8)
    data = model.data_preprocessor({'inputs': images, 'data_samples': samples}, training=True)
    return model(**data, mode='loss')


def segmentation_losses(model, case):
    """Compute the losses without accuracy, which counts labelled pixels; for Mask2Former return the maps.

    It looks which classes there are.
    """
    if hasattr(model.decode_head, 'pixel_decoder'):
        return means(maps=model.extract_feat(torch.rand(BATCH, 3, *case.size, device='cuda')))
    from mmseg.structures import SegDataSample

    images = list(torch.randint(256, (BATCH, 3, *case.size), dtype=torch.uint8))
    labels = torch.randint(150, (BATCH, 1, *case.size))
    samples = [SegDataSample(metainfo={'img_shape': case.size}, gt_sem_seg=PixelData(data=x)) for x in labels]
    data = model.data_preprocessor({'inputs': images, 'data_samples': samples}, training=True)
    with mock.patch('mmseg.models.decode_heads.decode_head.accuracy'):
        return {name: x for name, x in model(**data, mode='loss').items() if 'loss' in name}


def detection_outputs(model, case):
    """Compute what does not depend on boxes: outputs for all anchors and for some regions; for DINO the maps."""
    maps = model.extract_feat(torch.rand(BATCH, 3, *case.size, device='cuda'))
    if not hasattr(model, 'rpn_head'):
        return means(maps=maps)
    scores, deltas = model.rpn_head(maps)
    found = means(maps=maps, scores=scores, deltas=deltas)
    for kind in ('bbox', 'mask'):
        heads = getattr(model.roi_head, f'{kind}_head', ())
        for i, head in enumerate(heads if isinstance(heads, nn.ModuleList | tuple) else [heads]):
            outputs = head(torch.rand(8, 256, *(2 * [14 if kind == 'mask' else 7]), device='cuda'))
            found |= means(**{f'{kind} head {i}': outputs if isinstance(outputs, tuple) else [outputs]})
    return found


def means(**outputs):
    return {f'{name}, {i}': x.float().mean() for name, several in outputs.items() for i, x in enumerate(several)}


LOSSES = {
    'ClsDataPreprocessor': classification_losses,
    'SegDataPreProcessor': segmentation_losses,
    'DetDataPreprocessor': detection_outputs,
}
