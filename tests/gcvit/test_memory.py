"""How much memory GC ViT takes, as the system counts it for a process of its own."""

import sys
from functools import partial

import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.benchmark import Case, Mode, peak_memory

from .plain import PlainGCViT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc'),
]


def build(window_size, plain=False):
    model = GCViT('tiny', window_size=window_size, drop_path_rate=0.0)
    return PlainGCViT(model) if plain else model


@pytest.mark.skipif(not hasattr(torch.library, 'custom_op'), reason='custom operators come with torch 2.4')
def test_training_takes_at_most_55_percent_of_the_plain_formulations_memory():
    """Windows of 24, one image of 416x672 px."""
    case = Case((416, 672), 1, Mode.TRAIN)
    assert peak_memory(partial(build, 24), case) <= 0.55 * peak_memory(partial(build, 24, plain=True), case)


@pytest.mark.parametrize('mode', Mode)
def test_memory_grows_with_the_pixels(mode):
    """From 512x512 to 1024x1024 px, four times the pixels: at most 4.4 times."""
    small, large = (peak_memory(partial(build, 16), Case((side, side), 1, mode)) for side in (512, 1024))
    assert large <= 4.4 * small
