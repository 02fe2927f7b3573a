"""How much memory the networks take, as images grow and beside the plain formulation."""

import pytest
import torch

from mmgcvit import LSA, GCViT
from mmgcvit.experiments.benchmark import Case

from ..memory import peak_of_tensors
from .gcvit.plain import PlainGCViT

pytestmark = pytest.mark.slow


def small_gcvit(window_size=8, depths=(2, 2, 2, 2), **arguments):
    """Narrow, so that few bytes show what a wide one takes gigabytes for."""
    arch = {'embed_dims': 16, 'depths': depths, 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}
    return GCViT(arch, window_size=window_size, drop_path_rate=0.0, **arguments)


def lsa_with_windows():
    return LSA('imagenet-tiny', window_size=(8, 8, None, None), drop_path_rate=0.0)


@pytest.mark.skipif(not hasattr(torch.library, 'custom_op'), reason='custom operators come with torch 2.4')
def test_training_takes_at_most_55_percent_of_the_plain_formulations_memory():
    """Windows of 24, many of them early: of the plain one's half a gigabyte most are scores of a single image."""
    case, depths = Case((304, 504), 1, 'train'), (6, 6, 2, 2)
    models = small_gcvit(24, depths), PlainGCViT(small_gcvit(24, depths))
    fast, plain = (peak_of_tensors(model, case) for model in models)
    assert fast <= 0.55 * plain


@pytest.mark.parametrize('mode', ['infer', 'train'])
@pytest.mark.parametrize('build', [small_gcvit, lsa_with_windows])
def test_memory_grows_with_the_pixels(build, mode):
    """Of LSA with windows in early stages. From 256x256 to 512x512 px, four times the pixels: at most 4.4 times."""
    small, large = (peak_of_tensors(build(), Case((side, side), 1, mode)) for side in (256, 512))
    assert large <= 4.4 * small
