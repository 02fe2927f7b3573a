"""NMS and RoIAlign once more, from their definitions: one sample, one box, one place at a time, in float64."""

import math

import torch


def nms(boxes, scores, iou_threshold, offset):
    """Greedy: the best box is kept, and of the others those that overlap no kept one by more."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j], offset) <= iou_threshold for j in kept):
            kept.append(i)
    return kept


def iou(a, b, offset):
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    both = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return both / (sum(areas) - both)


def sample(image, y, x):
    """An image (C, H, W) at a place between its pixels, whose centres are whole numbers; beyond the edge it goes on."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(image[:, 0, 0])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = (1 - across) * image[:, top, left] + across * image[:, top, right]
    lower = (1 - across) * image[:, bottom, left] + across * image[:, bottom, right]
    return (1 - down) * upper + down * lower


def roi_align(maps, rois, size, scale, aligned, ratio):
    """Averages of samples of maps (B, C, H, W) in boxes (n, 5), (n, C, h, w).

    A bin has ``ratio`` samples a side, or with 0 as many as it is pixels long.
    """
    out = []
    for index, *corners in rois.tolist():
        left, top, right, bottom = (corner * scale - 0.5 * aligned for corner in corners)
        width, height = right - left, bottom - top
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        steps = (ratio or math.ceil(height / size[0]), ratio or math.ceil(width / size[1]))
        bins = [
            bin_average(maps[int(index)], top, left, height / size[0], width / size[1], row, column, steps)
            for row in range(size[0])
            for column in range(size[1])
        ]
        out.append(torch.stack(bins, 1).unflatten(1, size))
    return torch.stack(out) if out else maps.new_zeros(0, maps.shape[1], *size)


def bin_average(image, top, left, bin_height, bin_width, row, column, steps):
    samples = [
        sample(
            image,
            top + bin_height * (row + (i + 0.5) / steps[0]),
            left + bin_width * (column + (j + 0.5) / steps[1]),
        )
        for i in range(steps[0])
        for j in range(steps[1])
    ]
    return sum(samples, torch.zeros_like(image[:, 0, 0])) / max(len(samples), 1)
