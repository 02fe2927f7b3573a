"""Tiles of a large image are segmented as one picture: each pixel by all tiles that show it, without
seams.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mmgcvit.errors import UserError
from mmgcvit.export.output_readers import weigh_tiles as weigh_tiles_without_torch
from mmgcvit.predict.blending import segment_in_tiles, weigh_tiles
from mmgcvit.predict.segmentor import Segmentor
from mmgcvit.predict.tile_sizes import place_tiles

LENGTHS = st.integers(1, 400)
SIDES = st.integers(32, 200)


def blend(image, side, compute_logits, batch_size=1):
    """Return the blended logits (classes, height, width) of an image."""
    bands = []

    def choose_classes(logits):
        assert logits.shape[1] <= side, 'logits of more rows than those of one tile are kept'
        bands.append(logits.clone())
        return logits.argmax(0)

    label_map = segment_in_tiles(image, side, batch_size, compute_logits, choose_classes)
    blended = torch.cat(bands, dim=1)
    np.testing.assert_array_equal(label_map, blended.argmax(0))
    return blended


@given(LENGTHS, SIDES)
def test_the_weights_of_each_pixel_are_positive_and_add_up_to_one(length, side):
    """So each tile counts where it is, and a pixel of a single tile has its logits."""
    total = np.zeros(length)
    for span in weigh_tiles(length, side):
        assert (span.weights > 0).all()
        total[span.pixels] += span.weights.numpy()
    assert_allclose(total, 1, rtol=1e-5)


@given(LENGTHS, SIDES)
def test_the_onnx_predictor_has_the_same_tiles_and_weights(length, side):
    spans = weigh_tiles(length, side)
    alone = weigh_tiles_without_torch(length, side)
    assert [span.start for span in spans] == [start for start, _ in alone]
    for span, (_, weights) in zip(spans, alone, strict=True):
        assert_allclose(span.weights, weights, atol=1e-5)


@given(LENGTHS, LENGTHS, SIDES, st.integers(1, 5))
def test_a_network_that_does_not_depend_on_the_place_gives_what_it_gives_for_the_whole_image(
    height, width, side, batch_size
):
    """The logits tell the position of each pixel, so that a misplaced tile or row would show."""
    image = np.zeros((height, width, 3), np.uint16)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]

    def compute_logits(tiles):
        assert len(tiles) <= batch_size
        assert len({tile.shape for tile in tiles}) == 1
        return [torch.from_numpy(tile.astype(np.float32)).permute(2, 0, 1) for tile in tiles]

    blended = blend(image, side, compute_logits, batch_size)
    assert_allclose(blended, image.transpose(2, 0, 1), rtol=1e-4, atol=1e-3)


@given(LENGTHS, LENGTHS, SIDES, st.integers(0, 2**32 - 1))
@example(height=278, width=98, side=96, seed=95)
def test_tiles_that_contradict_each_other_leave_no_seam(height, width, side, seed):
    """Logits from 0 to 1 change from a pixel to the next by less than 10 / side or, where tiles
    begin nearer to each other than a tenth of that, by less than the inverse of their distance.
    """
    random = np.random.default_rng(seed)
    starts = [place_tiles(length, side) for length in (height, width)]
    distances = np.concatenate(list(map(np.diff, starts)))
    limit = 1 / min([side / 10, *distances])

    def compute_logits(tiles):
        value = random.choice([0.0, 1.0])
        return [torch.full((1, *tile.shape[:2]), value) for tile in tiles]

    (blended,) = blend(np.zeros((height, width, 3), np.uint8), side, compute_logits)
    for axis in (0, 1):
        assert np.abs(np.diff(blended, axis=axis)).max(initial=0) < limit


def test_a_single_channel_is_compared_with_the_threshold_of_its_head():
    """mmseg has applied the sigmoid to it."""
    model = SimpleNamespace(network=SimpleNamespace(decode_head=SimpleNamespace(threshold=0.3)))
    logits = torch.tensor([[[0.2, 0.3, 0.4, 0.6]]])
    assert Segmentor.choose_classes(model, logits).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize(('most', 'expected'), [(3, [3]), (1, [3, 1, 1, 1]), (0, None)])
def test_tiles_that_do_not_fit_together_are_predicted_one_by_one(most, expected):
    """The memory may be enough for one; where it is not, the error is raised."""
    sizes = []

    def compute_samples(tiles):
        sizes.append(len(tiles))
        if len(tiles) > most:
            raise UserError('out of memory')
        logits = [SimpleNamespace(data=torch.full((1, 2, 2), float(tile.max()))) for tile in tiles]
        return [SimpleNamespace(seg_logits=each) for each in logits]

    model = SimpleNamespace(compute_samples=compute_samples)
    tiles = [np.full((2, 2, 3), value, np.uint8) for value in (1, 2, 3)]
    if expected is None:
        with pytest.raises(UserError, match='out of memory'):
            Segmentor.compute_logits(model, tiles)
        return
    logits = Segmentor.compute_logits(model, tiles)
    assert [each.max().item() for each in logits] == [1, 2, 3]
    assert sizes == expected
