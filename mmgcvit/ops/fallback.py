"""Implement in torch the operators of ``mmcv._ext`` that this project's configs need.

Names and arguments are those of the compiled operators, which write results into tensors that the caller passes. Any
other operator raises an error that says how to install it.
"""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the boxes (n, 4) that NMS keeps, by descending score, with torchvision's operator.

    ``offset`` is 1 if a box includes the pixels of its right and lower edge, else 0.
    """
    from torchvision.ops import nms as torchvision_nms

    # Some devices lack a half precision kernel, and autocast may give boxes and scores different dtypes.
    dtype = torch.promote_types(scores.dtype, torch.float32)
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes.to(dtype), scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **options: Any
) -> None:
    """Write torchvision's RoIAlign of maps (B, C, H, W) and RoIs (n, 5) to ``output`` (n, C, h, w)."""
    from torchvision.ops import roi_align

    with torch.no_grad():
        output.copy_(roi_align(input, rois, *convert_options(**options)))


def convert_options(
    aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool
) -> tuple[tuple[int, int], float, int, bool]:
    """Convert mmcv's options of RoIAlign to torchvision's: output size, scale, sampling ratio, ``aligned``."""
    if pool_mode == 0:
        raise_missing("roi_align with pool_mode='max'")
    return (aligned_height, aligned_width), spatial_scale, max(sampling_ratio, 0), aligned


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, **mmcv_options: Any
) -> None:
    """Write the gradient of :func:`roi_align_forward`, from (n, C, h, w), to ``grad_input`` (B, C, H, W).

    On CPUs it uses matrix products, up to six times as fast as torchvision's backward pass, which runs in one thread.
    Other devices and dtypes, and torch.compile, use torchvision's.
    """
    from torchvision.ops import roi_align

    options = convert_options(**mmcv_options)
    is_traced = type(grad_input) is not Tensor or getattr(torch.compiler, 'is_compiling', bool)()
    if is_traced or grad_input.device.type != 'cpu' or grad_input.dtype not in (torch.float32, torch.float64):
        with torch.enable_grad():
            # RoIAlign is linear in the maps, so the gradient does not depend on their values.
            maps = torch.zeros_like(grad_input).requires_grad_()
            out = roi_align(maps, rois, *options)
        grad_input.copy_(torch.autograd.grad(out, maps, grad_output)[0])
        return
    # Autocast would cast the factors but not the tensor to which the product is added.
    with torch.autocast('cpu', enabled=False):
        cells = grad_input.new_zeros(grad_input.permute(0, 2, 3, 1).shape)
        if len(rois):
            add_roi_gradients(cells, rois, grad_output.permute(0, 2, 3, 1).contiguous(), *options)
        # torch copies the transpose of one matrix faster than a permuted batch.
        for image_grad, image_cells in zip(grad_input, cells, strict=True):
            image_grad.view(len(image_grad), -1).copy_(image_cells.flatten(0, 1).t())


def add_roi_gradients(
    cells: Tensor, rois: Tensor, grads: Tensor, size: tuple[int, int], scale: float, samples: int, aligned: bool
) -> None:
    """Add the gradients (n, h, w, C) of RoIs (n, 5) to the cells (B, H, W, C) of maps.

    The samples of a box form a grid, so the bilinear averages are a matrix (h, H) times a crop of the map times a
    matrix (W, w). The gradient is the product with their transposes.
    """
    _, height, width, channels = cells.shape
    # Predicted boxes may be NaN or infinite.
    corners = rois[:, 1:].nan_to_num(0, 0, 0) * scale - 0.5 * aligned
    rows, tops, bottoms = compute_average_weights(corners[:, 1], corners[:, 3], size[0], height, samples, aligned)
    columns, lefts, rights = compute_average_weights(corners[:, 0], corners[:, 2], size[1], width, samples, aligned)
    ranges = torch.stack([rois[:, 0].long(), tops, bottoms, lefts, rights], 1).tolist()
    for i, (image, top, bottom, left, right) in enumerate(ranges):
        # (h, crop width, w) @ (h, w, C) -> (h, crop width, C)
        row_grads = columns[i, :, left:right].t().expand(size[0], -1, -1).bmm(grads[i])
        offset = ((image * height + top) * width + left) * channels
        crop = cells.as_strided((bottom - top, (right - left) * channels), (width * channels, 1), offset)
        crop.addmm_(rows[i, :, top:bottom].t(), row_grads.flatten(1))


def compute_average_weights(
    starts: Tensor, ends: Tensor, bins: int, cells: int, samples: int, aligned: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights of cells along one side of a map in the average of each bin, (n, bins, cells).

    Also return the range of cells with a weight other than 0: first and last + 1, (n,) each. A bin has ``samples``
    samples along each side; if this is 0, as many as it has cells. A sample up to one cell outside of the map takes the
    value at the border. Samples further out are zero.
    """
    lengths = ends - starts if aligned else (ends - starts).clamp(min=1)
    steps = (lengths / bins)[:, None, None]
    counts = torch.full_like(steps, samples) if samples else steps.ceil().clamp(min=0)
    index = torch.arange(max(int(counts.max()), 1), device=starts.device)
    used, counts = index < counts, counts.clamp(min=1)
    in_bins = torch.arange(bins, device=starts.device).unsqueeze(1) + (index.minimum(counts - 1) + 0.5) / counts
    positions = starts[:, None, None] + steps * in_bins
    sample_weights = (used & (positions >= -1) & (positions <= cells)) / counts
    positions = positions.clamp(0, cells - 1)
    low = positions.long()
    high = (low + 1).clamp(max=cells - 1)
    high_weights = (positions - low) * sample_weights
    weights = starts.new_zeros(len(starts), bins, cells)
    weights.scatter_add_(2, low, sample_weights - high_weights).scatter_add_(2, high, high_weights)
    return weights, low.flatten(1).amin(1), high.flatten(1).amax(1) + 1


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the focal loss of logits (n, C) and labels (n,) to ``output`` (n, C). Labels from C on are background."""
    with torch.no_grad():
        output.copy_(sigmoid_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each loss with respect to its logit to ``grad_input`` (n, C)."""
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        losses = sigmoid_focal_loss(logits, target, weight, gamma, alpha)
    grad_input.copy_(torch.autograd.grad(losses.sum(), logits)[0])


def sigmoid_focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return -alpha (1 - p)^gamma log p for the target class and -(1 - alpha) p^gamma log(1 - p) for others: (n, C)."""
    logits = input.float()
    is_target = torch.arange(input.shape[1], device=input.device) == target.unsqueeze(1)
    # The log-probability of the correct outcome. torchvision computes 1 - p instead, which loses precision, for
    # gamma < 1 in the gradient too.
    log_p = torch.nn.functional.logsigmoid(torch.where(is_target, logits, -logits))
    balance = torch.where(is_target, alpha, 1 - alpha)
    losses = -balance * (-torch.expm1(log_p)).pow(gamma) * log_p
    if weight.numel():
        # The background label has neither a weight nor a logit.
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
    """Compute multi-scale deformable attention by mmcv's formulation in torch, a few heads at a time.

    Shapes: ``value`` (B, keys, nH, d), with the keys of all levels concatenated; ``spatial_shapes`` (levels, 2), each
    (H, W); ``locations`` (B, queries, nH, levels, points, 2), each (x, y) in [0, 1]; ``weights`` (B, queries, nH,
    levels, points); to (B, queries, nH * d).
    """
    inputs, chunks = (value, locations, weights), split_heads_into_chunks(value, locations)
    return torch.cat([attend(spatial_shapes, *(x[:, :, heads] for x in inputs)) for heads in chunks], 2)


def ms_deform_attn_backward(
    value: Tensor, spatial_shapes: Tensor, level_starts: Tensor, *tensors: Tensor, im2col_step: int
) -> None:
    """Write the gradients of :func:`ms_deform_attn_forward`, whose forward pass is recomputed.

    ``tensors`` are the locations, the weights, the gradient of the output, and tensors for the gradients of the inputs.
    """
    locations, weights, grad_output, *grads = tensors
    grad_output = grad_output.unflatten(2, value.shape[2:])
    for heads in split_heads_into_chunks(value, locations):
        with torch.enable_grad():
            inputs = [x[:, :, heads].detach().requires_grad_() for x in (value, locations, weights)]
            output = attend(spatial_shapes, *inputs)
        head_grads = torch.autograd.grad(output, inputs, grad_output[:, :, heads].flatten(2))
        for grad, head_grad in zip(grads, head_grads, strict=True):
            grad[:, :, heads] = head_grad


# The largest size of the tensor of sampled values, (B, heads, d, queries, levels, points).
MAX_SAMPLE_BYTES = 128 << 20


def split_heads_into_chunks(value: Tensor, locations: Tensor) -> list[slice]:
    """Return slices of as many heads as :data:`MAX_SAMPLE_BYTES` allows, at least one."""
    head_bytes = locations[:, :, 0, ..., 0].numel() * value.shape[3] * value.element_size()
    count = max(MAX_SAMPLE_BYTES // max(head_bytes, 1), 1)
    return [slice(first, first + count) for first in range(0, value.shape[2], count)]


def attend(spatial_shapes: Tensor, value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    # All layers get the same tensor. Its values are read once per batch, since each read synchronises the GPU.
    if not hasattr(spatial_shapes, 'as_list'):
        spatial_shapes.as_list = spatial_shapes.tolist()
    return multi_scale_deformable_attn_pytorch(value, spatial_shapes.as_list, locations, weights)


def get_compiler_version() -> str:
    """Return which operators are in use, for the table of versions in a run's log."""
    return "none: mmgcvit's fallback operators"


def get_compiling_cuda_version() -> str:
    """Return what mmcv returns if it was compiled without CUDA."""
    return 'not available'


def raise_missing(name: str, *args: object, **kwargs: object) -> NoReturn:
    """Raise a NotImplementedError for an operator without a fallback."""
    raise NotImplementedError(
        f"mmcv's operator {name} is missing: this mmcv has no compiled operators, and mmgcvit's fallbacks are for its "
        "own configs. Install a compiled mmcv: 'make install OPERATORS=compiled' (docs/installation.md)"
    )


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Return a function that raises an error, for each other operator that mmcv looks up on import."""
    if name.startswith('__'):
        raise AttributeError(name)
    return functools.partial(raise_missing, name)
