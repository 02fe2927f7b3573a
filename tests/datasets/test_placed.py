"""Single scans at 16 places: where they are, whose they are, and that nothing else tells one step from another."""

import numpy as np
import pytest

from mmgcvit.datasets.digits import SceneComposer
from mmgcvit.datasets.placed import FIRST, SCAN, SIZE, PlacedDigits


def place_of(image, ink):
    """Where a scan is: the window whose brightness its ink explains best."""
    windows = np.lib.stride_tricks.sliding_window_view(image.mean(-1), ink.shape)
    windows = windows - windows.mean((-2, -1), keepdims=True)
    like = (windows * (ink - ink.mean())).sum((-2, -1))
    return np.unravel_index(like.argmax(), like.shape)


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('step', [1, 4])
def test_scans_lie_so_many_pixels_apart_and_every_place_is_used(split, step):
    composer, images = SceneComposer(split), PlacedDigits(split == 'train', num_images=80, step=step)
    places = set()
    for number, scan in enumerate(np.resize(composer.scans, 80)):
        image = images.get_data_info(number)
        assert image['img'].shape == (SIZE, SIZE, 3)
        assert image['gt_label'] == composer.digits[scan]
        places.add(place_of(image['img'], composer.ink[scan]))
    expected = {FIRST + step * number for number in range(4)}
    assert places == {(top, left) for top in expected for left in expected}


def test_another_step_changes_nothing_but_the_places():
    """Of full ink nothing of the background is left, so that the colours are the same wherever it is drawn."""
    near, far = (PlacedDigits(train=False, num_images=40, step=step) for step in (1, 4))
    composer = SceneComposer('val')
    for number, scan in enumerate(composer.scans[:40]):
        ink, colours = composer.ink[scan], []
        for images in (near, far):
            image = images.get_data_info(number)['img'].astype(int)
            top, left = place_of(image, ink)
            colours.append(image[top : top + SCAN, left : left + SCAN][ink == 1])
        assert np.abs(np.subtract(*colours)).max() <= 1, 'rounded'
