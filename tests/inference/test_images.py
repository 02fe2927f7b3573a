"""Pictures as people have them: turned, grey, with alpha, of 16 bits, broken, far too large; read as in training."""

import os

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.checks.images import Loader
from mmgcvit.errors import UserError
from mmgcvit.inference.images import as_array

from ..datasets.checks.made import write_bomb
from .conftest import picture_of

LOADER = Loader()


def kinds():
    """How Pillow would store a picture, by its mode."""
    rgb = Image.fromarray(picture_of(20, 30)[..., ::-1])
    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30), dtype=np.uint16)
    return {
        'L': (rgb.convert('L'), 'png'),
        '1': (rgb.convert('1'), 'png'),
        'RGBA': (rgb.convert('RGBA'), 'png'),
        'LA': (rgb.convert('LA'), 'png'),
        'P': (rgb.convert('P'), 'png'),
        'I;16': (Image.fromarray(deep), 'png'),
        'bmp': (rgb, 'bmp'),
        'webp': (rgb, 'webp'),
        'tiff': (rgb, 'tiff'),
        'jpeg': (rgb, 'jpg'),
        'CMYK': (rgb.convert('CMYK'), 'jpg'),
    }


@pytest.mark.parametrize('kind', kinds())
def test_a_file_is_read_as_the_data_pipeline_reads_it(kind, tmp_path):
    image, ending = kinds()[kind]
    image.save(tmp_path / f'a.{ending}')
    read = as_array(tmp_path / f'a.{ending}', LOADER)
    assert read.shape == (20, 30, 3)
    np.testing.assert_array_equal(read, mmcv.imread(tmp_path / f'a.{ending}'))


@pytest.mark.parametrize('kind', [kind for kind in kinds() if kind not in ('CMYK', 'jpeg', 'webp')])
def test_an_image_of_pillow_is_what_its_file_is(kind, tmp_path):
    image, ending = kinds()[kind]
    image.save(tmp_path / f'a.{ending}')
    np.testing.assert_array_equal(as_array(image, LOADER), as_array(tmp_path / f'a.{ending}', LOADER))


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_a_turned_photo_is_turned_upright(orientation, tmp_path):
    upright = Image.fromarray(picture_of(40, 60)[..., ::-1])
    stored = upright.transpose({3: Image.ROTATE_180, 6: Image.ROTATE_90, 8: Image.ROTATE_270}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / 'a.jpg', exif=exif, quality=100, subsampling=0)
    for turned in (tmp_path / 'a.jpg', Image.open(tmp_path / 'a.jpg')):
        read = as_array(turned, LOADER)
        assert read.shape == (40, 60, 3)
        assert np.abs(read.astype(int) - np.asarray(upright)[..., ::-1]).mean() < 3


def test_a_config_that_ignores_the_orientation_is_heeded(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture_of(40, 60)).save(tmp_path / 'a.jpg', exif=exif)
    assert as_array(tmp_path / 'a.jpg', Loader('color_ignore_orientation')).shape == (40, 60, 3)


def test_arrays_of_other_depths_and_channels_are_what_files_of_them_are():
    picture = picture_of(20, 30)
    alpha = np.dstack([picture, picture[..., :1]])
    np.testing.assert_array_equal(as_array(alpha, LOADER), picture)
    np.testing.assert_array_equal(as_array(picture.astype(np.uint16) << 8, LOADER), picture)
    for grey in (picture[..., 0], picture[..., :1]):
        np.testing.assert_array_equal(as_array(grey, LOADER), np.repeat(picture[..., :1], 3, axis=2))


def test_a_view_of_an_array_is_taken():
    """Red, green, blue made blue, green, red by a negative step is what torch cannot read."""
    picture = picture_of(20, 30)
    assert as_array(picture[..., ::-1], LOADER).flags['C_CONTIGUOUS']


@pytest.mark.parametrize(
    ('image', 'words'),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), r'has shape \(2, 3, 4, 5\)'),
        (np.zeros((20, 30, 2), np.uint8), r'has shape \(20, 30, 2\)'),
        (np.zeros((0, 30, 3), np.uint8), r'has shape \(0, 30, 3\)'),
        (np.zeros((20, 30, 3), np.float32), 'values of type float32'),
        (Image.new('F', (4, 4)), 'mode F'),
        (None, 'not NoneType'),
        (3, 'not int'),
    ],
)
def test_what_is_no_image_is_refused(image, words):
    with pytest.raises(UserError, match=words):
        as_array(image, LOADER)


def pipe(path):
    """Opening it never ends."""
    os.mkfifo(path)


def cut(path):
    cv2.imwrite(str(path), picture_of(200, 200))
    path.write_bytes(path.read_bytes()[:-1000])


BROKEN = {
    'missing.jpg': (lambda path: None, 'there is no such file'),
    'empty.jpg': (lambda path: path.touch(), 'it has 0 bytes'),
    'folder.jpg': (lambda path: path.mkdir(), 'it is no regular file'),
    'words.jpg': (lambda path: path.write_text('words'), 'cannot be read: no image'),
    'cut.jpg': (cut, 'cannot be read: '),
    'cut.png': (cut, 'cannot be read: '),
    'pipe.png': (pipe, 'it is no regular file'),
    'bomb.png': (write_bomb, 'announces more than .* pixels'),
}


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_file_is_named_in_one_sentence(name, tmp_path):
    make, words = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=words) as raised:
        as_array(tmp_path / name, LOADER)
    assert str(tmp_path / name) in str(raised.value)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('value', [200, -1, 2**16])
def test_whole_numbers_of_pillow_that_are_not_of_16_bits_are_refused(value):
    """They would come out black, or wrapped around."""
    image = Image.fromarray(np.full((4, 5), value, np.int32))
    with pytest.raises(UserError, match=f'values from {value} to {value}; expected 16 bits'):
        as_array(image, LOADER)
