"""Deformable attention by gathering equals mmcv's function."""

import torch
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

from mmgcvit.export.deformable_attention import attend_by_gathering


def test_gathering_equals_grid_sample_inside_and_outside_of_maps_of_any_size():
    torch.manual_seed(0)
    sizes = [(7, 5), (3, 4), (1, 2), (2, 1), (1, 1)]
    value = torch.randn(2, sum(height * width for height, width in sizes), 4, 8, dtype=torch.float64)
    locations = 3 * torch.rand(2, 50, 4, len(sizes), 3, 2, dtype=torch.float64) - 1
    locations[:, :2] = locations[:, :2].round()  # corners of the map, and of the image of its size beside it
    weights = torch.rand(2, 50, 4, len(sizes), 3, dtype=torch.float64)
    found = attend_by_gathering(value, torch.tensor(sizes), locations, weights)
    expected = multi_scale_deformable_attn_pytorch(value, sizes, locations, weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
