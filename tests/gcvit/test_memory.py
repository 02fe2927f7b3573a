"""How much memory GC ViT takes."""

import pytest
import torch
from benchmarking import Case, Mode

from mmgcvit import GCViT

from ..memory import peak_of_tensors
from .plain import PlainGCViT

pytestmark = pytest.mark.slow


def build(window_size):
    return GCViT('tiny', window_size=window_size, drop_path_rate=0.0)


@pytest.mark.skipif(not hasattr(torch.library, 'custom_op'), reason='custom operators come with torch 2.4')
def test_training_takes_at_most_55_percent_of_the_plain_formulations_memory():
    """Windows of 24, one image of 608x1008 px."""
    case = Case((608, 1008), 1, Mode.TRAIN)
    assert peak_of_tensors(build(24), case) <= 0.55 * peak_of_tensors(PlainGCViT(build(24)), case)


@pytest.mark.parametrize('mode', Mode)
def test_memory_grows_with_the_pixels(mode):
    """From 512x512 to 1024x1024 px, four times the pixels: at most 4.4 times."""
    small, large = (peak_of_tensors(build(16), Case((side, side), 1, mode)) for side in (512, 1024))
    assert large <= 4.4 * small
