"""In the place of ``mmcv._ext``: the operators of this project's configs, with the compiled ones' names and arguments.

Results are written into the tensors that the caller made for them, as the compiled operators do. Every other name
answers a call with what is missing and how to get it.

Loaded by its path under mmcv's name, before mmgcvit itself may be imported: it imports nothing of mmgcvit.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np
import torch
from mmengine.logging import print_log
from numpy.typing import NDArray
from torch import Tensor

# Once a process, and of several processes mmengine's logger speaks for the first.
say_once = functools.cache(print_log)


def line_about_who_serves() -> None:
    """When the first operator is called; where it is compiled, while torch traces it."""
    say_once(
        "mmcv has no compiled operators: mmgcvit's take their place (MMGCVIT_STAND_INS=0 keeps them away).", 'current'
    )


# As torch.compiler.assume_constant_result does, which imports torch's compiler. Called by a second name, as torch 2.1's
# overwrites the global of the function's own name with the result.
line_about_who_serves._dynamo_marked_constant = True
say_who_serves = line_about_who_serves


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
    """RoIAlign by averages: maps (B, C, H, W) and RoIs (n, 5) into ``output`` (n, C, h, w).

    By matrix products or by torchvision's operator.
    """
    from torchvision.ops import roi_align

    say_who_serves()
    if pool_mode == 0:
        refuse("roi_align with pool_mode='max'")  # which torchvision has not
    options = (output.shape[2:], spatial_scale, max(sampling_ratio, 0), aligned)
    few = input.shape[1] < FEWEST_CHANNELS or input[:, 0].numel() > MOST_CELLS_A_BOX * len(rois)
    if few or not takes_products(input):
        with torch.no_grad():
            output.copy_(roi_align(input, rois, *options))
        return
    with torch.no_grad(), torch.autocast('cpu', enabled=False):
        cells = input.new_empty(input[0, 0].numel(), input.shape[1])
        pooled = output.new_empty(output.permute(0, 2, 3, 1).shape)
        parts = pooled.unbind()
        for maps, boxes in zip(input, boxes_of_images(rois, input.shape, *options), strict=True):
            cells.copy_(maps.flatten(1).t())
            for number, rows, columns, crop in boxes:
                across = rows.mm(cells.as_strided(*crop)).view(len(rows), -1, input.shape[1])
                torch.bmm(columns, across, out=parts[number])
        output.copy_(pooled.permute(0, 3, 1, 2))


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

    By the transposed products; or by torchvision's differentiable function, which takes a deterministic way where torch
    is told to.
    """
    from torchvision.ops import roi_align

    if pool_mode == 0:
        refuse("roi_align with pool_mode='max'")
    options = ((aligned_height, aligned_width), spatial_scale, max(sampling_ratio, 0), aligned)
    if not takes_products(grad_input):
        with torch.enable_grad():
            # The result is linear in the maps, so that any maps have this gradient.
            maps = torch.zeros_like(grad_input).requires_grad_()
            out = roi_align(maps, rois, *options)
        grad_input.copy_(torch.autograd.grad(out, maps, grad_output)[0])
        return
    with torch.autocast('cpu', enabled=False):
        cells = grad_input.new_empty(grad_input[0, 0].numel(), grad_input.shape[1])
        parts = grad_output.permute(0, 2, 3, 1).contiguous().unbind()
        for maps, boxes in zip(grad_input, boxes_of_images(rois, grad_input.shape, *options), strict=True):
            cells.zero_()
            for number, rows, columns, crop in boxes:
                across = columns.transpose(1, 2).bmm(parts[number])
                cells.as_strided(*crop).addmm_(rows.t(), across.flatten(1))
            maps.view(len(maps), -1).copy_(cells.t())


# The products lay out each map anew, and are slower than torchvision's forward pass (never than its backward pass) with
# fewer channels or more cells a box. Measured with 64 to 256 channels, maps of 32x32 to 200x334 and 1 to 490 boxes.
FEWEST_CHANNELS = 128
MOST_CELLS_A_BOX = 500


def takes_products(maps: Tensor) -> bool:
    """Whether RoIAlign of such maps may be products: on CPUs, and not traced, as boxes are looked at one by one.

    Autocast has to be off for them: it would cast their factors, but not what they are written into.
    """
    is_traced = type(maps) is not Tensor or getattr(torch.compiler, 'is_compiling', bool)()
    return maps.device.type == 'cpu' and maps.dtype in (torch.float32, torch.float64) and not is_traced


def boxes_of_images(
    rois: Tensor, shape: torch.Size, size: tuple[int, int], scale: float, samples: int, aligned: bool
) -> list[list[tuple]]:
    """What RoIAlign multiplies the maps (B, C, H, W) with, for each box of each image.

    A box' samples are a grid. So their bilinear averages are rows (h, y) times the box' part of the map, (y, x * C),
    and then columns (w, x) times that, the same for each of h. Before them stands the box' number, and behind them
    sizes, strides and offset of its part in (H * W, C).
    """
    batch, channels, height, width = shape
    boxes: list[list[tuple]] = [[] for _ in range(batch)]
    if not len(rois):
        return boxes
    # Of predictions that are not finite, which must not end a run.
    corners = rois[:, 1:].nan_to_num(0, 0, 0) * scale - 0.5 * aligned
    rows, *y = averages(corners[:, 1], corners[:, 3], size[0], height, samples, aligned)
    columns, *x = averages(corners[:, 0], corners[:, 2], size[1], width, samples, aligned)
    columns = columns.unsqueeze(1).expand(-1, size[0], -1, -1).unbind()
    places = torch.stack([rois[:, 0].long(), *y, *x], 1).tolist()
    for number, (image, top, bottom, left, right) in enumerate(places):
        crop = ((bottom - top, (right - left) * channels), (width * channels, 1), (top * width + left) * channels)
        own = rows[number, :, top:bottom], columns[number].narrow(2, left, right - left)
        boxes[image].append((number, *own, crop))
    return boxes


def averages(
    starts: Tensor, ends: Tensor, bins: int, cells: int, samples: int, aligned: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Along one side of a map what each cell weighs in each bin's average, (n, bins, cells); the first cell that weighs
    anything, and the one behind the last, (n,).

    A bin has so many ``samples``, 0 for as many as it is cells long. Up to a cell beyond the map they are the edge's,
    further out zero.
    """
    lengths = ends - starts if aligned else (ends - starts).clamp(min=1)
    steps = (lengths / bins)[:, None, None]
    counts = torch.full_like(steps, samples) if samples else steps.ceil().clamp(min=0)
    # The largest box sets how many samples all are given room for: hosts clip boxes to their images.
    index = torch.arange(max(int(counts.max()), 1), device=starts.device)
    are_taken, counts = index < counts, counts.clamp(min=1)
    in_bins = torch.arange(bins, device=starts.device).unsqueeze(1) + (index.minimum(counts - 1) + 0.5) / counts
    places = starts[:, None, None] + steps * in_bins
    shares = (are_taken & (places >= -1) & (places <= cells)) / counts
    places = places.clamp(0, cells - 1)
    low = places.long()
    high = (low + 1).clamp(max=cells - 1)
    of_high = (places - low) * shares
    weights = starts.new_zeros(len(starts), bins, cells)
    weights.scatter_add_(2, low, shares - of_high).scatter_add_(2, high, of_high)
    return weights, low.flatten(1).amin(1), high.flatten(1).amax(1) + 1


def box_iou_rotated(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool) -> None:
    """Overlaps of turned boxes (n, 5) and (m, 5) into ``ious`` (n * m), or of pairs, aligned, (n,).

    Shared area over that of both, or with mode 1 of the first; by shapely, on the CPU.
    """
    say_who_serves()
    ones, others = polygons(bboxes1), polygons(bboxes2)
    ious.copy_(torch.from_numpy(overlaps(ones if aligned else ones[:, None], others, mode_flag == 1).ravel()))


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Which turned boxes non-maximum suppression keeps, as indices of falling scores; by shapely, on the CPU.

    ``order`` has all indices (n,) so, and ``dets_sorted`` the boxes, (n, 5), or (n, 6) with classes behind them, of
    which each is a matter of its own.
    """
    from shapely import STRtree

    say_who_serves()
    boxes = polygons(dets_sorted)
    # Pairs that touch, by the first of each.
    firsts, seconds = STRtree(boxes).query(boxes, 'intersects')
    counts = firsts < seconds
    if multi_label:
        classes = dets_sorted[:, 5].cpu().numpy()
        counts &= classes[firsts] == classes[seconds]
    pairs = np.stack([firsts, seconds], 1)[counts]
    is_kept = np.ones(len(boxes), dtype=bool)
    for first, second in pairs[overlaps(*boxes[pairs.T]) > iou_threshold]:
        is_kept[second] &= ~is_kept[first]
    return order[torch.from_numpy(is_kept).to(order.device)]


def polygons(boxes: Tensor) -> NDArray:
    """Turned boxes (n, 5 or more), of centre, sides and angle in radians, as shapely's polygons (n,)."""
    from shapely import polygons as polygons_of

    # Of predictions that are not finite, which must not end a run.
    x, y, width, height, angle = boxes[:, :5].cpu().double().nan_to_num(0, 0, 0).numpy().T[..., None]
    corners = (width * [-0.5, 0.5, 0.5, -0.5] + 1j * height * [-0.5, -0.5, 0.5, 0.5]) * np.exp(1j * angle) + x + 1j * y
    return polygons_of(np.stack([corners.real, corners.imag], -1))


def overlaps(ones: NDArray, others: NDArray, over_first: bool = False) -> NDArray:
    """What polygons share over their union, or over the first of them; 0 for empty ones."""
    from shapely import area, intersection

    shared = area(intersection(ones, others))
    return shared / (area(ones) + (0 if over_first else area(others) - shared)).clip(min=np.finfo(float).tiny)


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
    # Of the outcome that is right for each logit. torchvision's loses the last digits of 1 - p, and below a gamma of 1
    # its gradient with them.
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
    """Multi-scale deformable attention, a level of a few heads at a time.

    Values (B, keys, nH, d), the keys of all levels one after another; (H, W) of each level; sampled places, (x, y) in
    [0, 1], (B, queries, nH, levels, points, 2) and weights (B, queries, nH, levels, points) to (B, queries, nH * d).
    """
    # The compiled operator is asked for on GPUs only.
    say_once(
        "Deformable attention runs on this GPU without mmcv's compiled operator, which is faster: "
        "'make install OPERATORS=compiled' builds it (docs/installation.md).",
        'current',
        logging.WARNING,
    )
    out = value.new_zeros(*sampling_locations.shape[:3], value.shape[3])
    for heads, _, _, maps, grids, weights in in_parts(value, spatial_shapes, sampling_locations, attention_weights):
        out[heads] += (torch.grid_sampler_2d(maps, grids, *BILINEAR) * weights).sum(-1).permute(2, 0, 1)
    return out.flatten(2)


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
    """The gradients of :func:`ms_deform_attn_forward`, into the last three tensors; samples are taken once more."""
    grad_output = grad_output.unflatten(2, value.shape[2:])
    backward = torch.ops.aten.grid_sampler_2d_backward
    for heads, keys, level, maps, grids, weights in in_parts(
        value, spatial_shapes, sampling_locations, attention_weights
    ):
        gradient = grad_output[heads].permute(1, 2, 0).unsqueeze(-1)
        samples = torch.grid_sampler_2d(maps, grids, *BILINEAR)
        grad_attn_weight[(*heads, level)] = (samples * gradient).sum(1).transpose(0, 1)
        grad_maps, grad_grids = backward(gradient * weights, maps, grids, *BILINEAR, (True, True))
        grad_value[keys] = grad_maps.flatten(2).permute(2, 0, 1)
        grad_sampling_loc[(*heads, level)] = 2 * grad_grids.transpose(0, 1)


# Modes of torch's samplers: bilinear, zeros outside of the map, corners not aligned.
BILINEAR = (0, 0, False)
# The largest samples of a part: (n heads, d, queries, points). About three such tensors are there at a time.
MOST_SAMPLE_BYTES = 64 << 20


def in_parts(value: Tensor, spatial_shapes: Tensor, locations: Tensor, weights: Tensor) -> Iterator[tuple]:
    """Each level of a few heads of each image: indices of queries and of keys, the level's number, maps (n, d, H, W),
    places in [-1, 1] (n, queries, points, 2) and weights (n, 1, queries, points).
    """
    batch, queries, num_heads, _, points, _ = locations.shape
    count = max(MOST_SAMPLE_BYTES // (value.shape[3] * queries * points * value.element_size()), 1)
    # A GPU has to be waited for: once a batch, whose layers share the tensor.
    if not hasattr(spatial_shapes, 'as_numbers'):
        spatial_shapes.as_numbers = spatial_shapes.tolist()
    for image in range(batch):
        for first in range(0, num_heads, count):
            heads, start = (image, slice(None), slice(first, first + count)), 0
            for level, size in enumerate(spatial_shapes.as_numbers):
                keys = (image, slice(start, start + size[0] * size[1]), heads[2])
                start = keys[1].stop
                maps = value[keys].permute(1, 2, 0).unflatten(2, size)
                grids = 2 * locations[(*heads, level)].transpose(0, 1) - 1
                yield heads, keys, level, maps, grids, weights[(*heads, level)].transpose(0, 1).unsqueeze(1)


def get_compiler_version() -> str:
    """For the table of versions at the start of a run."""
    return "none: mmgcvit's stand-ins"


def get_compiling_cuda_version() -> str:
    """Likewise; mmcv's words for an mmcv without CUDA."""
    return 'not available'


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
