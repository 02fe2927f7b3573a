"""Shifted copies: each is the image moved by its shift, embedded by its convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.models.lsa.shifted_patches import (
    PatchEmbedding,
    ShiftedPatchEmbedding,
    pad_to_stride,
    patch_grid,
    shifted_copies,
)

from ...conftest import DEVICES
from .plain import shift

on_every_device = pytest.mark.parametrize('device', DEVICES)

steps = st.integers(-8, 8)


@given(shifts=st.lists(st.tuples(steps, steps), min_size=1, max_size=4), mode=st.sampled_from(['circular', 'reflect']))
@on_every_device
def test_copies_are_the_image_moved_down_and_to_the_right(shifts, mode, device):
    images = torch.rand(2, 3, 9, 11, device=device)
    copies = shifted_copies(images, shifts, mode)
    for copy, (dy, dx) in zip(copies, shifts, strict=True):
        assert torch.equal(copy, shift(images, dy, dx, mode))


def test_a_positive_shift_moves_down_and_to_the_right():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 1, 1] = 1
    (copy,) = shifted_copies(image, [(2, 1)], 'circular')
    assert copy[0, 0].nonzero().tolist() == [[3, 2]]


@settings(max_examples=25)
@given(
    kernel=st.integers(1, 7),
    stride=st.integers(1, 7),
    padding=st.integers(0, 3),
    size=st.tuples(st.integers(9, 30), st.integers(9, 30)),
    shared_conv=st.booleans(),
)
@on_every_device
def test_every_copy_passes_through_its_convolution(kernel, stride, padding, size, shared_conv, device):
    """Padding zeros follow the shift; images are padded to whole strides before."""
    shifts = ((0, 0), (1, 0), (-2, 3))
    stem = ShiftedPatchEmbedding(3, 5, kernel, stride, padding, shifts, 'circular', shared_conv).to(device)
    images = torch.rand(2, 3, *size, device=device)
    found = stem(images)
    assert found.shape[2:4] == patch_grid(size, kernel, stride, padding)
    for i, (dy, dx) in enumerate(shifts):
        moved = pad_to_stride(images, stride).roll((dy, dx), (2, 3))
        expected = stem.convs[0 if shared_conv else i](moved).permute(0, 2, 3, 1)
        torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=1e-5)


def test_without_shifts_there_is_one_copy():
    stem = PatchEmbedding(3, 5, 4, 4, 0)
    images = torch.rand(2, 3, 32, 40)
    torch.testing.assert_close(stem(images), stem.convs[0](images).permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(('side', 'padded'), [(32, 35), (35, 35), (36, 42)])
def test_images_are_padded_to_whole_strides(side, padded):
    images = torch.rand(1, 2, side, 7)
    found = pad_to_stride(images, 7)
    assert found.shape == (1, 2, padded, 7)
    assert torch.equal(found[:, :, :side], images)
    assert not found[:, :, side:].any()
