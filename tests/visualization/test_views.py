"""What a network sees is found in the image, whatever the pipeline does with it."""

import cv2
import numpy as np
import pytest

from mmgcvit.inference import UserError
from mmgcvit.visualization.networks import view_of

from ..inference.conftest import picture_of
from .conftest import classifier_of

CROPPED = [
    {'type': 'ResizeEdge', 'scale': 80, 'edge': 'short', 'backend': 'pillow', 'interpolation': 'bicubic'},
    {'type': 'CenterCrop', 'crop_size': 64},
]


@pytest.fixture(scope='module')
def cropping(tmp_path_factory):
    return classifier_of(tmp_path_factory.mktemp('cropping') / 'run', CROPPED)


def test_a_resized_image_is_seen_whole(model, picture):
    view = view_of(model, picture)
    assert view.box == pytest.approx((0, 0, 120, 90))
    np.testing.assert_array_equal(view.image, picture[..., ::-1])


@pytest.mark.parametrize(('height', 'width'), [(80, 160), (200, 160), (411, 630)])
def test_a_crop_is_found_in_the_image(cropping, height, width):
    scale = min(height, width) / 80
    sides = round(height / scale), round(width / scale)
    top, left = ((side - 64) / 2 * scale for side in sides)
    expected = (left, top, left + 64 * scale, top + 64 * scale)
    view = view_of(cropping, picture_of(height, width))
    assert view.box == pytest.approx(expected, abs=max(1.0, 0.006 * max(height, width)))


def test_places_go_both_ways(cropping):
    view = view_of(cropping, picture_of(160, 320))
    u, v = view.in_inputs((150, 60))
    assert view.in_image((u, v, u, v))[:2] == pytest.approx((150, 60))
    assert view.in_inputs(None) == (32, 32)


def test_a_place_that_is_cropped_away_is_refused(cropping):
    with pytest.raises(UserError, match=r'position 3,60: the network sees x from 9\d to 22\d and y from 1\d to 14\d'):
        view_of(cropping, picture_of(160, 320)).in_inputs((3, 60))


@pytest.mark.parametrize('content', [b'', b'no picture'])
def test_a_file_that_is_no_picture_is_refused(model, tmp_path, content):
    path = tmp_path / 'photo.jpg'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'photo\.jpg'):
        view_of(model, path)


def test_the_seen_image_is_where_the_view_says(cropping):
    """A bright square comes out at the place of the inputs that the view gives it."""
    image = np.zeros((160, 320, 3), np.uint8)
    cv2.rectangle(image, (150, 60), (169, 79), (255, 255, 255), -1)
    view = view_of(cropping, image)
    bright = (view.inputs[0, 0] > 1).nonzero().float() + 0.5
    v, u = bright.mean(0).tolist()
    assert view.in_image((u, v, u, v))[:2] == pytest.approx((160, 70), abs=1.5)
