"""In the place of ``mmcv._ext``: the operators of this project's configs, with the compiled ones' names and arguments.

Results are written into the tensors that the caller made for them, as the compiled operators do. Every other name
answers a call with what is missing and how to get it.

Loaded by its path under mmcv's name, before mmgcvit itself may be imported: it imports nothing of mmgcvit.
"""

import functools
import logging
from collections.abc import Callable
from typing import NoReturn

import torch
from mmengine.logging import print_log
from torch import Tensor

NOT_COMPILED = 'not available'  # mmcv's words for an mmcv without CUDA


# Once a process, and of several processes mmengine's logger speaks for the first.
say_once = functools.cache(print_log)


def say_who_serves() -> None:
    """When the first operator is called; where it is compiled, while torch traces it."""
    say_once(
        "mmcv has no compiled operators: mmgcvit's take their place (MMGCVIT_STAND_INS=0 keeps them away).", 'current'
    )


# As torch.compiler.assume_constant_result does, which imports torch's compiler.
say_who_serves._dynamo_marked_constant = True


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Which boxes (n, 4) non-maximum suppression keeps, as indices of falling scores (torchvision's).

    ``offset`` is 1 where a box includes its right and lower edge's pixels, else 0.
    """
    from torchvision.ops import nms as torchvision_nms

    say_who_serves()
    # Half precision, of which autocast may give boxes and scores different kinds, has no kernel everywhere.
    dtype = torch.promote_types(scores.dtype, torch.float32)
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes.to(dtype), scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign by averages (torchvision's): maps (B, C, H, W) and RoIs (n, 5) into ``output`` (n, C, h, w)."""
    from torchvision.ops import roi_align

    say_who_serves()
    check_pool_mode(pool_mode)
    with torch.no_grad():
        output.copy_(roi_align(input, rois, output.shape[2:], spatial_scale, max(sampling_ratio, 0), aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """The gradient of :func:`roi_align_forward`: (n, C, h, w) into ``grad_input`` (B, C, H, W).

    By torchvision's differentiable function, which takes a deterministic way where torch is told to.
    """
    from torchvision.ops import roi_align

    check_pool_mode(pool_mode)
    with torch.enable_grad():
        # The result is linear in the maps, so that any maps have this gradient.
        maps = torch.zeros_like(grad_input).requires_grad_()
        size = (aligned_height, aligned_width)
        out = roi_align(maps, rois, size, spatial_scale, max(sampling_ratio, 0), aligned)
    grad_input.copy_(torch.autograd.grad(out, maps, grad_output)[0])


def check_pool_mode(pool_mode: int) -> None:
    """Refuse RoIAlign by maxima, which torchvision has not."""
    if pool_mode == 0:
        refuse("roi_align with pool_mode='max'")


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Focal loss of logits (n, C) and classes (n,), C and more for none, into ``output`` (n, C)."""
    say_who_serves()
    with torch.no_grad():
        output.copy_(sigmoid_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """The derivative of each loss by its own logit into ``grad_input`` (n, C)."""
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        losses = sigmoid_focal_loss(logits, target, weight, gamma, alpha)
    grad_input.copy_(torch.autograd.grad(losses.sum(), logits)[0])


def sigmoid_focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """-alpha (1 - p)^gamma log p where the class is the target's, -(1 - alpha) p^gamma log(1 - p) elsewhere: (n, C)."""
    logits = input.float()
    positive = torch.arange(input.shape[1], device=input.device) == target.unsqueeze(1)
    # Of the outcome that is right for each logit.
    log_p = torch.nn.functional.logsigmoid(torch.where(positive, logits, -logits))
    balance = torch.where(positive, alpha, 1 - alpha)
    losses = -balance * (-torch.expm1(log_p)).pow(gamma) * log_p
    if weight.numel():
        # A class of its own for "none" has no weight, and no logit either.
        losses = losses * weight[target.clamp(max=input.shape[1] - 1)].unsqueeze(1)
    return losses.to(input.dtype)


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Multi-scale deformable attention by mmcv's own formulation in torch, which mmcv itself uses on CPUs.

    Values (B, keys, nH, d), the keys of all levels one after another; (H, W) of each level; sampled places, (x, y) in
    [0, 1], (B, queries, nH, levels, points, 2) and weights (B, queries, nH, levels, points) to (B, queries, nH * d).
    """
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    say_that_deformable_attention_is_slower()
    with torch.no_grad():
        return multi_scale_deformable_attn_pytorch(value, spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """The gradients of :func:`ms_deform_attn_forward`, by autograd, into the last three tensors."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    with torch.enable_grad():
        given = [x.detach().requires_grad_() for x in (value, sampling_locations, attention_weights)]
        out = multi_scale_deformable_attn_pytorch(given[0], spatial_shapes, *given[1:])
    found = torch.autograd.grad(out, given, grad_output)
    for target, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), found, strict=True):
        target.copy_(gradient)


@functools.cache
def say_that_deformable_attention_is_slower() -> None:
    """Once a process: the compiled operator is asked for on GPUs only, and there it is faster."""
    print_log(
        "Deformable attention runs on this GPU without mmcv's compiled operator, slower and with more memory: "
        "'make install OPERATORS=compiled' builds it (docs/installation.md).",
        'current',
        logging.WARNING,
    )


def get_compiler_version() -> str:
    """For the table of versions at the start of a run."""
    return "none: mmgcvit's stand-ins"


def get_compiling_cuda_version() -> str:
    """Likewise."""
    return NOT_COMPILED


def refuse(name: str, *args: object, **kwargs: object) -> NoReturn:
    """Answer a call of an operator that there is no stand-in for, whatever it is called with."""
    raise NotImplementedError(
        f"mmcv's operator {name} is not here: this mmcv has no compiled operators, and mmgcvit stands in for those of "
        "its own configs only. Get a compiled mmcv: 'make install OPERATORS=compiled', or docs/installation.md"
    )


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Every other operator's name, which mmcv looks up when it is imported."""
    if name.startswith('__'):
        raise AttributeError(name)
    return functools.partial(refuse, name)
