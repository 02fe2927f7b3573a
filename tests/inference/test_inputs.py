"""Images are read as the data pipeline reads them; inputs are found by file, folder and glob
pattern.
"""

from functools import partial

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmgcvit.datasets.decoding import DecodingSettings
from mmgcvit.datasets.rules.images import check_image
from mmgcvit.errors import UserError
from mmgcvit.files import write_image
from mmgcvit.inference.inputs import convert_to_array, find_inputs

from ..datasets.checks.made import write_bomb
from .conftest import picture_of

DECODING = DecodingSettings()
SIZE = 64, 96


def save_pages(path, kind, size=(30, 20)):
    """Save an image and one of half of its size behind it, of a kind that is NewSubfileType in TIFF
    files.
    """
    pages = [Image.fromarray(picture_of(*size[::-1], seed=seed)) for seed in range(2)]
    pages[1] = pages[1].resize((15, 10)) if kind is not None else pages[1]
    if kind is not None and path.suffix == '.tif':
        pages[1].encoderinfo = {'tiffinfo': {254: kind}}
    pages[0].save(
        path, 'MPO' if path.suffix == '.jpg' else None, save_all=True, append_images=pages[1:]
    )


RGB = Image.fromarray(picture_of(20, 30)[..., ::-1])
DEEP = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3), dtype=np.uint16)
TRANSPARENT = partial(RGB.quantize(16).save, transparency=3, background=9)
SAVE_IT, PAGES = 'save them with 8 bits', 'pages or frames'
# What is in a file, its suffix, and what is said if it is rejected.
PICTURES = {
    **{
        f'{mode} {end}': (RGB.convert(mode), end, '')
        for end in ('png', 'tif')
        for mode in ('1', 'L', 'LA', 'RGB')
    },
    **{f'{mode} png': (RGB.convert(mode), 'png', '') for mode in ('RGBA', 'P')},
    'RGB bmp': (RGB, 'bmp', ''),
    **(
        {'transparent gif': (TRANSPARENT, 'gif', '')} if cv2.getVersionMinor() > 11 else {}
    ),  # 4.11 reads no GIF
    'RGBA tif': (RGB.convert('RGBA'), 'tif', ''),
    'four channels, no alpha': (
        np.dstack([DEEP >> 8, DEEP[..., 0] >> 8]).astype(np.uint8),
        'tif',
        '',
    ),
    'LAB tif': (Image.merge('LAB', RGB.split()), 'tif', 'LAB'),
    **{f'16 bits {end}': (DEEP[..., 0], end, '') for end in ('png', 'tif', 'pgm')},
    '16 bits, colours': (DEEP, 'png', ''),
    **{f'12 bits {end}': (DEEP[..., 0] // 16, end, SAVE_IT) for end in ('png', 'tif')},
    '12 bits, colours': (DEEP // 16, 'png', SAVE_IT),
    '12 bits, black': (DEEP[..., 0] * 0, 'png', ''),
    'float': (Image.fromarray(DEEP[..., 0].astype(np.float32)), 'tif', SAVE_IT),
    '32 bits': (Image.fromarray(DEEP[..., 0].astype(np.int32) * 2**10), 'tif', SAVE_IT),
    'strip': (Image.new('L', (1, 400)), 'png', 'one side over 320 times the other'),
    **{
        f'pages {end}': (partial(save_pages, kind=None), end, PAGES)
        for end in ('tif', 'gif', 'png', 'webp')
    },
    'preview tif': (partial(save_pages, kind=1), 'tif', ''),
}


@pytest.mark.parametrize('name', PICTURES)
def test_each_way_in_gives_the_array_that_training_loads_or_a_sentence(name, tmp_path):
    content, suffix, words = PICTURES[name]
    path = tmp_path / f'x.{suffix}'
    if isinstance(content, np.ndarray):
        write_image(path, content)
    elif isinstance(content, Image.Image):
        content.save(path)
    else:
        content(path)
    ways = [path, Image.open(path)]
    if words not in (PAGES, 'LAB'):
        ways += [cv2.imread(str(path), cv2.IMREAD_UNCHANGED)]
    for image in ways:
        if words:
            with pytest.raises(UserError, match=words):
                convert_to_array(image, DECODING)
        else:
            trained = LoadImageFromFile().transform({'img_path': str(path)})['img']
            np.testing.assert_array_equal(convert_to_array(image, DECODING), trained)
    _, problem, _ = check_image(path)
    assert words in problem
    assert bool(words) == bool(problem)


def test_lossy_files_are_read_as_the_data_pipeline_reads_them(tmp_path):
    """Pillow converts them differently. A camera's JPEG file may have a preview behind the photo."""
    save_pages(tmp_path / 'preview.jpg', kind=1)
    RGB.save(tmp_path / 'a.webp')
    RGB.convert('CMYK').save(tmp_path / 'a.jpg')
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(
            convert_to_array(path, DECODING), mmcv.imread(path), err_msg=path.name
        )


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_the_exif_rotation_is_applied_unless_the_config_ignores_it(orientation, tmp_path):
    upright = Image.fromarray(picture_of(40, 60)[..., ::-1])
    stored = upright.transpose(
        {3: Image.ROTATE_180, 6: Image.ROTATE_90, 8: Image.ROTATE_270}[orientation]
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / 'a.jpg', exif=exif, quality=100, subsampling=0)
    for rotated in (tmp_path / 'a.jpg', Image.open(tmp_path / 'a.jpg')):
        read = convert_to_array(rotated, DECODING)
        assert read.shape == (40, 60, 3)
        assert np.abs(read.astype(int) - np.asarray(upright)[..., ::-1]).mean() < 3
    unrotated = convert_to_array(tmp_path / 'a.jpg', DecodingSettings('color_ignore_orientation'))
    assert unrotated.shape[:2] == stored.size[::-1]


def test_arrays_may_be_not_contiguous_and_have_one_channel():
    """torch does not support negative strides."""
    picture = picture_of(20, 30)
    grey = np.repeat(picture[..., :1], 3, axis=2)
    for image, expected in ((grey[..., :1], grey), (picture[..., ::-1], picture[..., ::-1])):
        converted = convert_to_array(image, DECODING)
        np.testing.assert_array_equal(converted, expected)
        assert converted.flags['C_CONTIGUOUS']


def test_invalid_images_are_rejected(tmp_path):
    write_bomb(tmp_path / 'bomb.png')
    for image, words in (
        (np.zeros((20, 30, 2), np.uint8), r'has the shape \(20, 30, 2\)'),
        (np.zeros((20, 30, 3), bool), r'the dtype bool\. Expected'),
        (None, 'not NoneType'),
        (tmp_path / 'missing.jpg', 'missing.jpg cannot be read: No such file'),
        (tmp_path, f'{tmp_path} cannot be read: Is a directory'),
        (tmp_path / 'bomb.png', 'bomb.png cannot be read: .*exceeds limit'),
    ):
        with pytest.raises(UserError, match=words):
            convert_to_array(image, DECODING)


def test_inputs_are_found_by_folder_glob_pattern_and_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = (
        'a/1.jpg',
        'a/2.PNG',
        'a/3.mp4',
        'a/notes.txt',
        'a/.hidden.jpg',
        'b/1.jpg',
        'b/c/4.tif',
        'empty/x.txt',
    )
    for name in (*files, 'photo[1].jpg', 'a/frames.mp4/1.txt'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for names, images, videos in (
        (['a'], ['a/1.jpg', 'a/2.PNG'], ['a/3.mp4']),
        (['?/1.*'], ['a/1.jpg', 'b/1.jpg'], []),
        (['b/**/*'], ['b/1.jpg', 'b/c/4.tif'], []),
        (['photo[1].jpg'], ['photo[1].jpg'], []),
        (['b/1.jpg', 'a/1.jpg', 'b/../b/1.jpg', str(tmp_path / 'b')], ['b/1.jpg', 'a/1.jpg'], []),
    ):
        assert find_inputs(names) == (images, videos)
    for name in ('empty', 'nowhere/*.jpg', 'gone.jpg'):
        with pytest.raises(
            UserError, match=r'no image or video found|there is no file or folder gone'
        ):
            find_inputs([name])


def write_video(path, frames=5, rate=10.0, codec='MJPG'):
    """Write a video whose frames have different colours."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, SIZE[::-1])
    for number in range(frames):
        writer.write(picture_of(*SIZE, seed=number))
    writer.release()
