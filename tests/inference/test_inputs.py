"""Images are read as the data pipeline reads them; inputs are found by file, folder and glob pattern."""

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.decoding import DecodingSettings
from mmgcvit.errors import UserError
from mmgcvit.inference.inputs import convert_to_array, find_inputs

from ..datasets.checks.made import write_bomb
from .conftest import picture_of

DECODING = DecodingSettings()
SIZE = 64, 96


def test_a_file_is_read_as_the_data_pipeline_reads_it(tmp_path):
    """A Pillow image gives the same array, except for formats that decoders convert differently."""
    rgb = Image.fromarray(picture_of(20, 30)[..., ::-1])
    kept = [(rgb.convert(mode), 'png') for mode in ('L', 'RGBA', 'LA', 'P')] + [(rgb, 'bmp'), (rgb, 'tiff')]
    deep = Image.fromarray(np.random.default_rng(0).integers(0, 2**16, (20, 30), dtype=np.uint16))
    others = [(deep, 'png'), (rgb, 'webp'), (rgb, 'jpg'), (rgb.convert('CMYK'), 'jpg')]
    for number, (image, ending) in enumerate(kept + others):
        path = tmp_path / f'{number}.{ending}'
        image.save(path)
        read = convert_to_array(path, DECODING)
        assert read.shape == (20, 30, 3), (image.mode, ending)
        np.testing.assert_array_equal(read, mmcv.imread(path), err_msg=f'{image.mode} {ending}')
        if number < len(kept):
            np.testing.assert_array_equal(convert_to_array(image, DECODING), read, err_msg=f'{image.mode} {ending}')


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_the_exif_rotation_is_applied_unless_the_config_ignores_it(orientation, tmp_path):
    upright = Image.fromarray(picture_of(40, 60)[..., ::-1])
    stored = upright.transpose({3: Image.ROTATE_180, 6: Image.ROTATE_90, 8: Image.ROTATE_270}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / 'a.jpg', exif=exif, quality=100, subsampling=0)
    for rotated in (tmp_path / 'a.jpg', Image.open(tmp_path / 'a.jpg')):
        read = convert_to_array(rotated, DECODING)
        assert read.shape == (40, 60, 3)
        assert np.abs(read.astype(int) - np.asarray(upright)[..., ::-1]).mean() < 3
    unrotated = convert_to_array(tmp_path / 'a.jpg', DecodingSettings('color_ignore_orientation'))
    assert unrotated.shape[:2] == stored.size[::-1]


def test_arrays_may_be_bgra_greyscale_or_not_contiguous():
    """torch does not support negative strides."""
    picture = picture_of(20, 30)
    bgra, grey = np.dstack([picture, picture[..., :1]]), np.repeat(picture[..., :1], 3, axis=2)
    for image, expected in ((bgra, picture), (grey[..., 0], grey), (picture[..., ::-1], picture[..., ::-1])):
        converted = convert_to_array(image, DECODING)
        np.testing.assert_array_equal(converted, expected)
        assert converted.flags['C_CONTIGUOUS']


def test_invalid_images_are_rejected(tmp_path):
    write_bomb(tmp_path / 'bomb.png')
    for image, words in (
        (np.zeros((20, 30, 2), np.uint8), r'has the shape \(20, 30, 2\)'),
        (np.zeros((20, 30, 3), np.float32), r'the dtype float32\. Expected'),
        (None, 'not NoneType'),
        (tmp_path / 'missing.jpg', 'missing.jpg cannot be read: No such file'),
        (tmp_path, f'{tmp_path} cannot be read: Is a directory'),
        (tmp_path / 'bomb.png', 'bomb.png cannot be read: .*exceeds limit'),
    ):
        with pytest.raises(UserError, match=words):
            convert_to_array(image, DECODING)


def test_inputs_are_found_by_folder_glob_pattern_and_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ('a/1.jpg', 'a/2.PNG', 'a/3.mp4', 'a/notes.txt', 'a/.hidden.jpg', 'b/1.jpg', 'b/c/4.tif', 'empty/x.txt')
    for name in (*files, 'photo[1].jpg'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for names, images, videos in (
        (['a'], ['a/1.jpg', 'a/2.PNG'], ['a/3.mp4']),
        (['?/1.*'], ['a/1.jpg', 'b/1.jpg'], []),
        (['b/**/*'], ['b/1.jpg', 'b/c/4.tif'], []),
        (['photo[1].jpg'], ['photo[1].jpg'], []),
        (['b/1.jpg', 'a/1.jpg', 'b/1.jpg'], ['b/1.jpg', 'a/1.jpg'], []),
    ):
        assert find_inputs(names) == (images, videos)
    for name in ('empty', 'nowhere/*.jpg', 'gone.jpg'):
        with pytest.raises(UserError, match=r'no image or video found|there is no file or folder gone'):
            find_inputs([name])


def write_video(path, frames=5, rate=10.0, codec='MJPG'):
    """Write a video whose frames have different colours."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, SIZE[::-1])
    for number in range(frames):
        writer.write(picture_of(*SIZE, seed=number))
    writer.release()
