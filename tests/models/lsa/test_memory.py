"""How much memory LSA takes as images grow."""

import pytest
from benchmarking import Case, Mode

from mmgcvit import LSA

from ...memory import peak_of_tensors


def build():
    return LSA('imagenet-tiny', window_size=(8, 8, None, None), drop_path_rate=0.0)


@pytest.mark.slow
@pytest.mark.parametrize('mode', Mode)
def test_with_windows_in_early_stages_memory_grows_with_the_pixels(mode):
    """From 256x256 to 512x512 px, four times the pixels: at most 4.4 times."""
    small, large = (peak_of_tensors(build(), Case((side, side), 1, mode)) for side in (256, 512))
    assert large <= 4.4 * small
