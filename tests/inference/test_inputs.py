"""Images with an EXIF rotation, grey, with alpha, of 16 bits, broken, too large; folders, videos and cameras."""

import os
from typing import ClassVar

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.checks.images import Loader
from mmgcvit.inference import UserError
from mmgcvit.inference.images import as_array
from mmgcvit.inference.inputs import find_inputs, get_frame_rate, read_frames

from ..datasets.checks.made import write_bomb
from .conftest import picture_of

LOADER = Loader()
SIZE = 64, 96


def test_a_file_is_read_as_the_data_pipeline_reads_it(tmp_path):
    """Also as an image of Pillow's, but for what other decoders make of lossy formats."""
    rgb = Image.fromarray(picture_of(20, 30)[..., ::-1])
    deep = Image.fromarray(np.random.default_rng(0).integers(0, 2**16, (20, 30), dtype=np.uint16))
    kept = [(rgb.convert(mode), 'png') for mode in ('L', '1', 'RGBA', 'LA', 'P')]
    kept += [(deep, 'png'), (rgb, 'bmp'), (rgb, 'tiff')]
    for number, (image, ending) in enumerate([*kept, (rgb, 'webp'), (rgb, 'jpg'), (rgb.convert('CMYK'), 'jpg')]):
        path = tmp_path / f'{number}.{ending}'
        image.save(path)
        read = as_array(path, LOADER)
        assert read.shape == (20, 30, 3), (image.mode, ending)
        np.testing.assert_array_equal(read, mmcv.imread(path), err_msg=f'{image.mode} {ending}')
        if number < len(kept):
            np.testing.assert_array_equal(as_array(image, LOADER), read, err_msg=f'{image.mode} {ending}')


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_a_turned_photo_is_turned_upright_unless_the_config_ignores_that(orientation, tmp_path):
    upright = Image.fromarray(picture_of(40, 60)[..., ::-1])
    stored = upright.transpose({3: Image.ROTATE_180, 6: Image.ROTATE_90, 8: Image.ROTATE_270}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / 'a.jpg', exif=exif, quality=100, subsampling=0)
    for turned in (tmp_path / 'a.jpg', Image.open(tmp_path / 'a.jpg')):
        read = as_array(turned, LOADER)
        assert read.shape == (40, 60, 3)
        assert np.abs(read.astype(int) - np.asarray(upright)[..., ::-1]).mean() < 3
    assert as_array(tmp_path / 'a.jpg', Loader('color_ignore_orientation')).shape[:2] == stored.size[::-1]


def test_arrays_of_other_depths_and_channels_are_what_files_of_them_are():
    """Also views, as of red, green, blue made blue, green, red by a negative step, which torch cannot read."""
    picture = picture_of(20, 30)
    alpha = np.dstack([picture, picture[..., :1]])
    np.testing.assert_array_equal(as_array(alpha, LOADER), picture)
    np.testing.assert_array_equal(as_array(picture.astype(np.uint16) << 8, LOADER), picture)
    for grey in (picture[..., 0], picture[..., :1]):
        np.testing.assert_array_equal(as_array(grey, LOADER), np.repeat(picture[..., :1], 3, axis=2))
    assert as_array(picture[..., ::-1], LOADER).flags['C_CONTIGUOUS']


@pytest.mark.parametrize(
    ('image', 'words'),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), r'has shape \(2, 3, 4, 5\)'),
        (np.zeros((20, 30, 2), np.uint8), r'has shape \(20, 30, 2\)'),
        (np.zeros((0, 30, 3), np.uint8), r'has shape \(0, 30, 3\)'),
        (np.zeros((20, 30, 3), np.float32), 'values of type float32'),
        (Image.new('F', (4, 4)), 'mode F'),
        (Image.new('I', (4, 4)), 'mode I; expected 8 or 16 bits'),
        (None, 'not NoneType'),
        (3, 'not int'),
    ],
)
def test_what_is_not_an_image_is_rejected(image, words):
    with pytest.raises(UserError, match=words):
        as_array(image, LOADER)


def test_a_broken_file_is_named_in_one_sentence(tmp_path):
    def cut(path):
        cv2.imwrite(str(path), picture_of(200, 200))
        path.write_bytes(path.read_bytes()[:-1000])

    for name, make, words in [
        ('missing.jpg', lambda path: None, 'there is no such file'),
        ('empty.jpg', lambda path: path.touch(), 'it has 0 bytes'),
        ('folder.jpg', lambda path: path.mkdir(), 'it is not a regular file'),
        ('words.jpg', lambda path: path.write_text('words'), 'cannot be read: no image'),
        ('cut.jpg', cut, 'cannot be read: '),
        ('cut.png', cut, 'cannot be read: '),
        # Opening it never ends.
        ('pipe.png', os.mkfifo, 'it is not a regular file'),
        ('bomb.png', write_bomb, 'announces more than .* pixels'),
    ]:
        make(tmp_path / name)
        with pytest.raises(UserError, match=words) as raised:
            as_array(tmp_path / name, LOADER)
        assert str(tmp_path / name) in str(raised.value)
        assert '\n' not in str(raised.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with some files."""
    monkeypatch.chdir(tmp_path)
    files = ('a/1.jpg', 'a/2.PNG', 'a/3.mp4', 'a/notes.txt', 'a/.hidden.jpg', 'b/1.jpg', 'b/c/4.tif', 'empty/x.txt')
    for name in (*files, 'photo[1].jpg'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_folders_patterns_files_and_cameras_are_found_each_once(folder):
    found = find_inputs(['a'])
    assert (found.images, found.videos, found.left_out) == (['a/1.jpg', 'a/2.PNG'], ['a/3.mp4'], ['a/notes.txt'])
    assert find_inputs(['?/1.*']).images == ['a/1.jpg', 'b/1.jpg']
    assert find_inputs(['b/**/*']).images == ['b/1.jpg', 'b/c/4.tif']
    assert find_inputs(['photo[1].jpg']).images == ['photo[1].jpg']
    found = find_inputs(['b/1.jpg', 'a/1.jpg', './b/1.jpg', 'b', 'camera:2', 'camera:2'])
    assert found.images == ['b/1.jpg', 'a/1.jpg']
    assert found.cameras == [2]


@pytest.mark.parametrize(
    ('name', 'words'),
    {
        'empty': r"empty: none of its 1 files is an image .* name 'empty/\*\*/\*'",
        'empty/*': r'empty/\*: none of its 1 files is an image or a video by its suffix$',
        'nowhere/*.jpg': r'nowhere/\*\.jpg: there is no such file or folder',
        'camera:abc': r'^camera:abc: cameras are camera:0, camera:1, \.\.\.$',
        'a/notes.txt': '^a/notes.txt is neither an image nor a video$',
        'gone.jpg': r'^gone\.jpg: there is no such file or folder$',
    }.items(),
)
def test_where_nothing_is_found_one_sentence_says_so(folder, name, words):
    with pytest.raises(UserError, match=words):
        find_inputs([name])


def write_video(path, frames=5, rate=10.0, codec='MJPG'):
    """Spots that change colour."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, SIZE[::-1])
    for number in range(frames):
        writer.write(picture_of(*SIZE, seed=number))
    writer.release()
    return str(path)


class FakeCapture:
    """A camera that has so many frames, or is not there."""

    frames = 1000
    opened: ClassVar = []

    def __init__(self, source):
        self.source, self.left = source, self.frames
        self.opened.append(self)

    def isOpened(self):  # noqa: N802  (OpenCV's)
        return self.source == 0

    def read(self):
        self.left -= 1
        return (True, picture_of(*SIZE)) if self.left >= 0 else (False, None)

    def release(self):
        self.source = None


@pytest.fixture
def camera(monkeypatch):
    monkeypatch.setattr(FakeCapture, 'opened', [])
    monkeypatch.setattr('cv2.VideoCapture', FakeCapture)
    return FakeCapture


def test_a_camera_gives_frames_and_is_released(camera):
    frames = read_frames(0)
    assert next(frames).shape == (*SIZE, 3)
    frames.close()
    assert camera.opened[0].source is None
    with pytest.raises(UserError, match=r'^there is no camera 3 that can be opened \(/dev/video3\)$'):
        next(read_frames(3))


def test_a_video_gives_its_frames_and_its_rate(tmp_path):
    video = write_video(tmp_path / 'a.avi')
    assert get_frame_rate(video) == 10.0
    assert len(list(read_frames(video))) == 5
    (tmp_path / 'words.avi').write_text('words')
    with pytest.raises(UserError, match=r'words\.avi cannot be opened as a video'):
        get_frame_rate(str(tmp_path / 'words.avi'))
