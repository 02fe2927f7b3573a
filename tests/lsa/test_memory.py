"""How much memory LSA takes as images grow, as the system counts it for a process of its own."""

import sys

import pytest

from mmgcvit import LSA
from mmgcvit.benchmark import Case, Mode, peak_memory


def build():
    return LSA('imagenet-tiny', window_size=(16, 16, None, None), drop_path_rate=0.0)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
@pytest.mark.parametrize('mode', Mode)
def test_with_windows_in_early_stages_memory_grows_with_the_pixels(mode):
    """From 512x512 to 1024x1024 px, four times the pixels: at most 4.4 times."""
    small, large = (peak_memory(build, Case((side, side), 1, mode)) for side in (512, 1024))
    assert large <= 4.4 * small
