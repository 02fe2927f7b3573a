"""The operators of ``mmcv._ext`` that this project's configs need, implemented in torch.

Functions have the names and arguments of the compiled operators, most of which write results into
tensors that the caller passes, without gradients. Every other operator raises an error that says
how to install mmcv's compiled operators.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd.functional import vjp


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of boxes (n, 4) that NMS keeps, by score.

    ``offset`` is 1 if x2, y2 are inside a box.
    """
    from torchvision.ops import nms as torchvision_nms

    # Some devices have no half-precision kernel. Under autocast, boxes and scores may have
    # different dtypes.
    dtype = torch.promote_types(scores.dtype, torch.float32)
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes.to(dtype), scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **options: Any
) -> None:
    """Write the RoIAlign of maps (B, C, H, W) to ``output`` (n, C, h, w).

    A RoI is [image index, x1, y1, x2, y2].
    """
    output.copy_(roi_align(input, rois, **options))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    **options: Any,
) -> None:
    """Write RoIAlign's gradient by its maps to ``grad_input`` (B, C, H, W), from ``grad_output``
    (n, C, h, w).
    """
    align = functools.partial(roi_align, rois=rois, **options)
    # RoIAlign is linear in the maps, so its gradient does not depend on their values.
    _, gradient = vjp(align, torch.zeros_like(grad_input), grad_output, strict=True)
    grad_input.copy_(gradient)


def roi_align(
    maps: Tensor,
    rois: Tensor,
    aligned_height: int,
    aligned_width: int,
    pool_mode: int,
    **options: Any,
) -> Tensor:
    """Call torchvision's RoIAlign with mmcv's options, most of which have the same names there."""
    from torchvision.ops import roi_align as torchvision_roi_align

    if pool_mode == 0:
        raise_missing_operator("roi_align with pool_mode='max'")
    # With NaN or infinite coordinates, torchvision reads outside of the maps and crashes if it has
    # a sampling ratio.
    rois = rois.nan_to_num(0, 0, 0)
    return torchvision_roi_align(maps, rois, (aligned_height, aligned_width), **options)


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, **options: float
) -> None:
    """Write the focal loss of logits (n, C) and labels (n,) to ``output`` (n, C).

    Labels >= C are background.
    """
    output.copy_(sigmoid_focal_loss(input, target, weight, **options))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, **options: float
) -> None:
    """Write the derivative of each element of the focal loss by its logit to ``grad_input``."""

    def compute_loss(logits: Tensor) -> Tensor:
        return sigmoid_focal_loss(logits, target, weight, **options)

    _, gradient = vjp(compute_loss, input, torch.ones_like(input), strict=True)
    grad_input.copy_(gradient)


def sigmoid_focal_loss(
    input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float
) -> Tensor:
    """Return losses (n, C): -alpha (1 - p)^gamma log p for the target class, else -(1 - alpha)
    p^gamma log(1 - p).
    """
    logits = input.float()
    is_target = torch.arange(input.shape[1], device=input.device) == target.unsqueeze(1)
    # The logarithm of p for the target class, and of 1 - p for others, which torchvision computes
    # less precisely.
    log_p = torch.nn.functional.logsigmoid(torch.where(is_target, logits, -logits))
    balance = torch.where(is_target, alpha, 1 - alpha)
    losses = -balance * (-torch.expm1(log_p)).pow(gamma) * log_p
    if weight.numel():
        # Background samples have no weight of their own. They get the weight of the last class.
        losses = losses * weight[target.clamp(max=input.shape[1] - 1)].unsqueeze(1)
    return losses.to(input.dtype)


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_starts: Tensor,
    locations: Tensor,
    weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Compute multi-scale deformable attention with mmcv's function in torch, whose docstring has
    the shapes.
    """
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    if value.is_cuda:
        warnings.warn(
            "deformable attention is slow without mmcv's CUDA operators (docs/installation.md)",
            stacklevel=2,
        )
    # mmcv's function uses single sizes. Those of a tensor would each make the CPU wait for the GPU.
    return multi_scale_deformable_attn_pytorch(value, spatial_shapes.tolist(), locations, weights)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_starts: Tensor,
    locations: Tensor,
    weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_locations: Tensor,
    grad_weights: Tensor,
    im2col_step: int,
) -> None:
    """Write gradients of :func:`ms_deform_attn_forward` by its value, locations and weights.

    mmcv keeps no graph, so recompute the forward pass.
    """

    def attend(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return ms_deform_attn_forward(
            value,
            spatial_shapes,
            level_starts,
            locations=locations,
            weights=weights,
            im2col_step=im2col_step,
        )

    _, gradients = vjp(attend, (value, locations, weights), grad_output, strict=True)
    for grad, gradient in zip((grad_value, grad_locations, grad_weights), gradients, strict=True):
        grad.copy_(gradient)


def get_compiler_version() -> str:
    """Return which operators are used. mmcv's ``collect_env`` shows this as "MMCV Compiler"."""
    return "none: mmgcvit's fallback operators"


def get_compiling_cuda_version() -> str:
    """Return what mmcv returns if it was compiled without CUDA."""
    return 'not available'


def raise_missing_operator(name: str, *args: object, **kwargs: object) -> NoReturn:
    raise NotImplementedError(
        f"mmcv's operator {name} is missing, and mmgcvit replaces only those that its own "
        "configs need. To install a compiled mmcv, run 'make install OPERATORS=compiled' "
        '(docs/installation.md)'
    )


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Return a function that raises an error, for any operator that this file does not define."""
    # mmcv looks up all operators when mmcv.ops is imported, also those that are never called.
    if name.startswith('__'):
        raise AttributeError(name)
    return functools.partial(raise_missing_operator, name)
