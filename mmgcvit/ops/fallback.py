"""The operators of ``mmcv._ext`` that this project's configs need, implemented in torch.

Functions have the names and arguments of the compiled operators, most of which write results into tensors that the
caller passes. Every other operator raises an error that says how to install mmcv's compiled operators.
"""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the boxes (n, 4) that NMS keeps, by descending score.

    ``offset`` is 1 if a box includes the pixels of its right and lower edge, else 0.
    """
    from torchvision.ops import nms as torchvision_nms

    # Some devices have no half-precision kernel. Under autocast, boxes and scores may have different dtypes.
    dtype = torch.promote_types(scores.dtype, torch.float32)
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes.to(dtype), scores.to(dtype), iou_threshold)


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **options: Any
) -> None:
    """Write the RoIAlign of maps (B, C, H, W) to ``output`` (n, C, h, w). A RoI is [image index, x1, y1, x2, y2]."""
    from torchvision.ops import roi_align

    with torch.no_grad():
        output.copy_(roi_align(input, rois, *convert_options(**options)))


def convert_options(
    aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool
) -> tuple[tuple[int, int], float, int, bool]:
    """Convert mmcv's options of RoIAlign to torchvision's: [output size, scale, sampling ratio, aligned]."""
    if pool_mode == 0:
        raise_missing_operator("roi_align with pool_mode='max'")
    return (aligned_height, aligned_width), spatial_scale, max(sampling_ratio, 0), aligned


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, **mmcv_options: Any
) -> None:
    """Compute RoIAlign's ``grad_input`` (B, C, H, W), in place, from ``grad_output`` (n, C, h, w).

    On CPUs, this function computes matrix products, which is up to six times as fast as torchvision's single-threaded
    backward pass. On other devices, for half precision and in torch.compile, it calls torchvision.
    """
    from torchvision.ops import roi_align

    options = convert_options(**mmcv_options)
    is_traced = type(grad_input) is not Tensor or getattr(torch.compiler, 'is_compiling', bool)()
    if is_traced or grad_input.device.type != 'cpu' or grad_input.dtype not in (torch.float32, torch.float64):
        with torch.enable_grad():
            # RoIAlign is linear in the maps, so its gradient does not depend on their values.
            maps = torch.zeros_like(grad_input).requires_grad_()
            out = roi_align(maps, rois, *options)
        grad_input.copy_(torch.autograd.grad(out, maps, grad_output)[0])
        return
    # In addmm_, autocast would cast the two factors, but not the tensor to which their product is added.
    with torch.autocast('cpu', enabled=False):
        grad_nhwc = grad_input.new_zeros(grad_input.permute(0, 2, 3, 1).shape)
        if len(rois):
            add_roi_gradients(grad_nhwc, rois, grad_output.permute(0, 2, 3, 1).contiguous(), *options)
        # torch copies a transposed matrix for each image faster than a permuted batch.
        for image_grad, image_nhwc in zip(grad_input, grad_nhwc, strict=True):
            image_grad.view(len(image_grad), -1).copy_(image_nhwc.flatten(0, 1).t())


def add_roi_gradients(
    grad_input: Tensor,
    rois: Tensor,
    grads: Tensor,
    size: tuple[int, int],
    scale: float,
    num_samples: int,
    aligned: bool,
) -> None:
    """Add the gradients of RoIs (n, 5) to ``grad_input`` (B, H, W, C). ``grads`` (n, h, w, C) are those of the output.

    RoIAlign samples a box on a grid. So its output for one channel is a matrix (h, H) of row weights, times the map
    (H, W), times a matrix (W, w) of column weights. The map's gradient is the transposed row weights, times the
    output's gradient, times the transposed column weights. Rows and columns of the map that a box does not sample have
    weights of 0 and are left out.
    """
    _, height, width, channels = grad_input.shape
    # Predicted boxes may have NaN or infinite coordinates.
    corners = rois[:, 1:].nan_to_num(0, 0, 0) * scale - 0.5 * aligned
    rows, tops, bottoms = compute_average_weights(corners[:, 1], corners[:, 3], size[0], height, num_samples, aligned)
    columns, lefts, rights = compute_average_weights(corners[:, 0], corners[:, 2], size[1], width, num_samples, aligned)
    ranges = torch.stack([rois[:, 0].long(), tops, bottoms, lefts, rights], 1).tolist()
    for i, (image, top, bottom, left, right) in enumerate(ranges):
        # (h, crop width, w) @ (h, w, C) -> (h, crop width, C)
        row_grads = columns[i, :, left:right].t().expand(size[0], -1, -1).bmm(grads[i])
        offset = ((image * height + top) * width + left) * channels
        crop = grad_input.as_strided((bottom - top, (right - left) * channels), (width * channels, 1), offset)
        crop.addmm_(rows[i, :, top:bottom].t(), row_grads.flatten(1))


def compute_average_weights(
    starts: Tensor, ends: Tensor, num_bins: int, num_cells: int, num_samples: int, aligned: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return with which weights each bin averages a map's cells along one axis: (n, num_bins, num_cells).

    ``starts`` and ``ends`` (n,) are the sides of n boxes, each divided into ``num_bins`` bins. A bin has
    ``num_samples`` samples along the axis or, if this is 0, as many as its length in cells, rounded up. A sample up to
    one cell outside of the map takes the value at the border. Samples further out are zero.

    Also return the range of cells that each box samples: the first cell (n,), and the last cell + 1 (n,).
    """
    lengths = ends - starts if aligned else (ends - starts).clamp(min=1)
    steps = (lengths / num_bins)[:, None, None]
    counts = torch.full_like(steps, num_samples) if num_samples else steps.ceil().clamp(min=0)
    index = torch.arange(max(int(counts.max()), 1), device=starts.device)
    used, counts = index < counts, counts.clamp(min=1)
    in_bins = torch.arange(num_bins, device=starts.device).unsqueeze(1) + (index.minimum(counts - 1) + 0.5) / counts
    positions = starts[:, None, None] + steps * in_bins
    sample_weights = (used & (positions >= -1) & (positions <= num_cells)) / counts
    positions = positions.clamp(0, num_cells - 1)
    low = positions.long()
    high = (low + 1).clamp(max=num_cells - 1)
    high_weights = (positions - low) * sample_weights
    weights = starts.new_zeros(len(starts), num_bins, num_cells)
    weights.scatter_add_(2, low, sample_weights - high_weights).scatter_add_(2, high, high_weights)
    return weights, low.flatten(1).amin(1), high.flatten(1).amax(1) + 1


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the focal loss of logits (n, C) and labels (n,) to ``output`` (n, C). Labels >= C are background."""
    with torch.no_grad():
        output.copy_(sigmoid_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each element of the focal loss by its logit to ``grad_input`` (n, C)."""
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        losses = sigmoid_focal_loss(logits, target, weight, gamma, alpha)
    grad_input.copy_(torch.autograd.grad(losses.sum(), logits)[0])


def sigmoid_focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return losses (n, C): -alpha (1 - p)^gamma log p for the target class, else -(1 - alpha) p^gamma log(1 - p)."""
    logits = input.float()
    is_target = torch.arange(input.shape[1], device=input.device) == target.unsqueeze(1)
    # The logarithm of p for the target class and of 1 - p for other classes. torchvision computes 1 - p
    # directly, which is less precise. For gamma < 1 its gradient is less precise too.
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
    """Compute multi-scale deformable attention with mmcv's function in torch, a few heads at a time.

    Shapes: ``value`` (B, keys, nH, d), where keys are the pixels of all levels; ``spatial_shapes`` (levels, 2) =
    [H, W]; ``locations`` (B, queries, nH, levels, points, 2) = [x, y], where 0 to 1 is the whole map; ``weights``
    (B, queries, nH, levels, points). The result is (B, queries, nH * d).
    """
    inputs, chunks = (value, locations, weights), split_heads_into_chunks(value, locations)
    return torch.cat([attend(spatial_shapes, *(x[:, :, heads] for x in inputs)) for heads in chunks], 2)


def ms_deform_attn_backward(
    value: Tensor, spatial_shapes: Tensor, level_starts: Tensor, *tensors: Tensor, im2col_step: int
) -> None:
    """Write the gradients of :func:`ms_deform_attn_forward`. mmcv keeps no graph, so recompute the forward pass.

    ``tensors`` are the locations, the weights, the output's gradient, and the tensors to which the gradients of value,
    locations and weights are written.
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


# Maximum size of the sampled values (B, heads, d, queries, levels, points), the largest tensor in `attend`.
MAX_SAMPLE_BYTES = 128 << 20


def split_heads_into_chunks(value: Tensor, locations: Tensor) -> list[slice]:
    """Return slices of heads. A slice has as many heads as :data:`MAX_SAMPLE_BYTES` allows, but at least one."""
    head_bytes = locations[:, :, 0, ..., 0].numel() * value.shape[3] * value.element_size()
    count = max(MAX_SAMPLE_BYTES // max(head_bytes, 1), 1)
    return [slice(first, first + count) for first in range(0, value.shape[2], count)]


def attend(spatial_shapes: Tensor, value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """Compute multi-scale deformable attention for some heads with mmcv's function in torch."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    # tolist() makes the CPU wait for the GPU. All layers get the same tensor, so call it once and keep the list.
    if not hasattr(spatial_shapes, 'as_list'):
        spatial_shapes.as_list = spatial_shapes.tolist()
    return multi_scale_deformable_attn_pytorch(value, spatial_shapes.as_list, locations, weights)


def get_compiler_version() -> str:
    """Return which operators are used. mmcv's ``collect_env`` shows this as "MMCV Compiler"."""
    return "none: mmgcvit's fallback operators"


def get_compiling_cuda_version() -> str:
    """Return what mmcv returns if it was compiled without CUDA."""
    return 'not available'


def raise_missing_operator(name: str, *args: object, **kwargs: object) -> NoReturn:
    """Raise a NotImplementedError for an operator without a fallback."""
    raise NotImplementedError(
        f"mmcv's operator {name} is missing. This mmcv has no compiled operators, and mmgcvit replaces only those that "
        "its own configs need. To install a compiled mmcv, run 'make install OPERATORS=compiled' (docs/installation.md)"
    )


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """Return a function that raises an error, for any operator that this file does not define."""
    # mmcv looks up all operators when mmcv.ops is imported, also those that are never called.
    if name.startswith('__'):
        raise AttributeError(name)
    return functools.partial(raise_missing_operator, name)
