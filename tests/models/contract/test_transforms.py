"""torch.func's transforms give what loops and backward passes give, of every backbone."""

import pytest
import torch
from torch.func import functional_call, grad, jvp, vmap

from .backbones import BACKBONES

attention = pytest.importorskip('torch.nn.attention')


@pytest.fixture(params=BACKBONES)
def backbone(request):
    return BACKBONES[request.param][0](drop_path_rate=0.0)


def images_of(number):
    return torch.randn(number, 3, 70, 90, generator=torch.Generator().manual_seed(0))


def loss_of(backbone, parameters, images):
    """Of no mean squares: those of normalised maps hardly change."""
    return sum(found.sin().sum() for found in functional_call(backbone, parameters, (images,)))


def assert_close(found, expected):
    """Equal but for the order of sums."""
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max() + 1e-3))


def test_gradients_of_each_image_are_those_of_backward_passes(backbone):
    images, parameters = images_of(2), {name: each.detach() for name, each in backbone.named_parameters()}
    whole = grad(lambda parameters: loss_of(backbone, parameters, images))(parameters)
    each = vmap(grad(lambda parameters, image: loss_of(backbone, parameters, image[None])), (None, 0))(
        parameters, images
    )
    for number in (None, 0, 1):
        backbone.zero_grad()
        loss_of(backbone, {}, images if number is None else images[number : number + 1]).backward()
        for name, parameter in backbone.named_parameters():
            if parameter.grad is None:  # of no part in the maps
                assert not whole[name].any(), name
            else:
                assert_close(whole[name] if number is None else each[name][number], parameter.grad)


def test_networks_and_images_are_mapped_over(backbone):
    images, other = images_of(2), {name: each.detach() * 1.1 for name, each in backbone.named_parameters()}
    both = {name: torch.stack([each.detach(), other[name]]) for name, each in backbone.named_parameters()}
    with torch.no_grad():
        expected = [backbone(images), functional_call(backbone, other, (images,))]
        found = vmap(lambda parameters: functional_call(backbone, parameters, (images,)))(both)
        of_images = vmap(lambda image: [found[0] for found in backbone(image[None])])(images)
    for level, maps in enumerate(found):
        assert_close(of_images[level], expected[0][level])
        for number in (0, 1):
            assert_close(maps[number], expected[number][level])


def test_second_derivatives_are_those_of_differences_where_no_fused_kernel_is_taken(backbone):
    """Forward over reverse, in float64; torch's fused kernels have no second derivative."""
    backbone, images = backbone.double(), images_of(1).double()
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double()

    def gradient(images):
        return grad(lambda images: loss_of(backbone, {}, images))(images)

    with attention.sdpa_kernel(attention.SDPBackend.MATH):
        found = jvp(gradient, (images,), (direction,))[1].detach()
        step = 1e-5 * direction
        expected = (gradient(images + step) - gradient(images - step)) / 2e-5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
