"""The networks' memory grows in proportion to the image."""

import pytest

from mmgcvit import LSA, GCViT
from mmgcvit.experiments.benchmark import Case

from ..memory import peak_of_tensors

pytestmark = pytest.mark.slow


def narrow_gcvit():
    arch = {'embed_dims': 16, 'depths': (2, 2, 2, 2), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}
    return GCViT(arch, window_size=8, drop_path_rate=0.0)


def lsa_with_windows():
    return LSA('imagenet-tiny', window_size=(8, 8, None, None), drop_path_rate=0.0)


@pytest.mark.parametrize('mode', ['infer', 'train'])
@pytest.mark.parametrize('build', [narrow_gcvit, lsa_with_windows])
def test_memory_grows_with_the_pixels(build, mode):
    """At most 4.4 times from 256x256 to 512x512 px; LSA has windows in its early stages."""
    small, large = (peak_of_tensors(build(), Case((side, side), 1, mode)) for side in (256, 512))
    assert large <= 4.4 * small
