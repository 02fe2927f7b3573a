"""The page's own arithmetic, in a browser beside the libraries whose results it has to give."""

from itertools import product

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from PIL import Image

from mmgcvit.web.server import PAGE

from ..datasets.checks.made import png_header
from .chromium import Page

pytestmark = pytest.mark.slow

FORMATS = [('png', {}), ('gif', {}), ('webp', {'lossless': True}), ('bmp', {})]
FORMATS += [
    ('jpg', options) for options in ({'quality': 90}, {'progressive': True}, {'exif': b'Exif\0\0' + bytes(60_000)})
]
BOXES = [(3.2, 4.7, 30.9, 25.1), (-5.5, -3, 20, 18), (30, 10, 60, 50), (10, 10, 10.4, 40), (0, 0, 40, 32)]
PREPARE = """
    const { prepared } = await load('prepare.js');
    const [pixels, width, height, model] = given;
    const { values, ...rest } = prepared({ data: Uint8ClampedArray.from(pixels), width, height }, model);
    return { ...rest, values: Array.from(values) };
"""
PASTE = """
    const { pasted } = await load('masks.js');
    const mask = pasted(Float32Array.from(given[0]), 28, given[1], given[2]);
    return mask && { ...mask, bits: Array.from(mask.bits) };
"""
HEADER = """
    const { announcedSize } = await load('image_header.js');
    return announcedSize(new DataView(Uint8Array.from(given[0]).buffer), 'x');
"""
DECODE = """
    const { decoded } = await load('picture.js');
    const { canvas, size } = await decoded(new Blob([Uint8Array.from(given[0])]), 'x');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return { size, width: canvas.width, height: canvas.height, data: Array.from(data) };
"""


@pytest.fixture(scope='module')
def opened(driver, served):
    """The page without models: its modules are there."""
    page = Page(driver, served(PAGE)).open()
    page.wait_for_fault()
    return page


def test_pictures_are_resized_and_normalised_as_by_the_hosts(opened):
    """mmcv's rescaling, OpenCV's interpolation to one of 255 steps, zeros up to the divisor."""
    for shape, keep_ratio in product([(40, 60), (61, 33), (9, 150), (1, 1)], [True, False]):
        picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        model = {
            **{'scale': [64, 48], 'keep_ratio': keep_ratio, 'size_divisor': 32, 'channel_order': 'bgr'},
            **{'mean': [10, 20, 30], 'std': [2, 4, 8]},
        }
        pixels = np.concatenate([picture[..., ::-1], np.full((*shape, 1), 255, np.uint8)], axis=2)
        found = opened.call(PREPARE, pixels.flatten().tolist(), shape[1], shape[0], model)
        resized = (mmcv.imrescale if keep_ratio else mmcv.imresize)(picture, (64, 48))
        height, width = resized.shape[:2]
        values = np.array(found['values']).reshape(found['dims'])
        assert found['dims'] == [1, 3, -(-height // 32) * 32, -(-width // 32) * 32]
        assert (found['across'], found['down']) == (width / shape[1], height / shape[0])
        seen = values[0, :, :height, :width].transpose(1, 2, 0) * model['std'] + model['mean']
        assert np.abs(seen - resized).max() <= 1.01, (shape, keep_ratio)
        assert not values[0, :, height:].any()
        assert not values[0, :, :, width:].any()


def test_masks_are_pasted_as_by_mmdet(opened):
    """And a mask of a box outside of the picture is nothing."""
    cells = cv2.GaussianBlur(np.random.default_rng(0).random((28, 28), dtype=np.float32), (0, 0), 3)
    cells = (cells - cells.min()) / (cells.max() - cells.min())
    for box in BOXES:
        expected, _ = _do_paste_mask(torch.from_numpy(cells)[None, None], torch.tensor([box]), 32, 40, skip_empty=False)
        found = opened.call(PASTE, cells.flatten().tolist(), box, {'width': 40, 'height': 32})
        pasted = np.zeros((32, 40), bool)
        rows = slice(found['top'], found['top'] + found['height'])
        columns = slice(found['left'], found['left'] + found['width'])
        pasted[rows, columns] = np.reshape(found['bits'], (found['height'], found['width']))
        sure = np.abs(expected[0].numpy() - 0.5) > 1e-4
        assert (pasted == (expected[0].numpy() >= 0.5))[sure].all(), box
    assert opened.call(PASTE, [1] * 784, (50, 10, 60, 20), {'width': 40, 'height': 32}) is None


def test_a_header_says_the_size_of_an_image_and_a_cut_one_is_refused(opened, tmp_path):
    """A JPEG's behind whatever comes before it."""
    for ending, options in FORMATS:
        Image.fromarray(np.zeros((37, 151, 3), np.uint8)).save(tmp_path / f'x.{ending}', **options)
        content = (tmp_path / f'x.{ending}').read_bytes()
        assert opened.call(HEADER, list(content)) == {'width': 151, 'height': 37}, (ending, options)
    for length in (8, 12, 20, 23):
        with pytest.raises(AssertionError, match=r'x (is no image|begins as a PNG image and is damaged)'):
            opened.call(HEADER, list(png_header(10, 10)[:length]))


def test_a_photo_is_turned_upright_and_a_transparent_one_lies_on_white(opened, tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / 'x.jpg', exif=exif, quality=100)
    found = opened.call(DECODE, list((tmp_path / 'x.jpg').read_bytes()))
    assert (found['width'], found['height'], found['size']) == (8, 16, {'width': 8, 'height': 16})
    turned = np.reshape(found['data'], (16, 8, 4))
    assert turned[:7, :, 0].min() > 200
    assert turned[9:, :, 0].max() < 50
    Image.new('RGBA', (4, 4), (0, 0, 0, 0)).save(tmp_path / 'x.png')
    assert set(opened.call(DECODE, list((tmp_path / 'x.png').read_bytes()))['data']) == {255}
