"""Images are read as the data pipeline reads them; inputs are found by file, folder and glob
pattern.
"""

import glob
import os
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmgcvit.datasets.decoding import DecodingSettings
from mmgcvit.datasets.rules.images import check_image
from mmgcvit.errors import UserError
from mmgcvit.export.onnx_predictor import read_image
from mmgcvit.host.files import write_image
from mmgcvit.own.pictures.finding import expand_pattern, find_inputs
from mmgcvit.own.pictures.output_files import FOLDERS, PREDICTIONS
from mmgcvit.predict.inputs import convert_to_array

from ..datasets.checks.made import write_bomb
from .conftest import picture_of

DECODING = DecodingSettings()


RGB = Image.fromarray(picture_of(20, 30)[..., ::-1])
DEEP = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3), dtype=np.uint16)
GREY = DEEP[..., 0]
FOUR_CHANNELS = np.dstack([DEEP >> 8, GREY >> 8]).astype(np.uint8)
TRANSPARENT = partial(RGB.quantize(16).save, transparency=3, background=9)
SAVE_IT, PAGES = 'save them with 8 bits', 'pages or frames'


def save_pages(path, kind):
    """Save an image and another behind it, of a kind that is NewSubfileType in TIFF files."""
    second = RGB.transpose(Image.Transpose.ROTATE_180)
    second.encoderinfo = {'tiffinfo': {254: kind}}
    file_format = 'MPO' if path.suffix == '.jpg' else None
    RGB.save(path, file_format, save_all=True, append_images=[second])


def save_rotated(path, orientation=6, image=RGB):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


def save_bitmap_as_text(path):
    width, height = RGB.size
    bits = ' '.join(str(int(bit)) for bit in np.asarray(RGB.convert('1')).ravel())
    path.write_text(f'P1\n{width} {height}\n{bits}')


def save_cut(path):
    RGB.resize((300, 200)).save(path)
    path.write_bytes(path.read_bytes()[:2000])


# What is in a file, its suffix, and what is said if it is rejected. Cameras may write a preview
# behind the photo.
PICTURES = [
    *((RGB.convert(mode), 'png', '') for mode in ('1', 'L', 'LA', 'RGB', 'RGBA', 'P')),
    *((RGB.convert(mode), 'tif', '') for mode in ('1', 'L', 'LA', 'RGB', 'RGBA')),
    *((RGB.convert(mode), 'jpg', '') for mode in ('L', 'RGB', 'CMYK')),
    *((RGB, suffix, '') for suffix in ('bmp', 'webp')),
    (RGB.convert('1'), 'pbm', ''),
    (save_bitmap_as_text, 'pbm', ''),  # OpenCV reads bits as text, but not numbers
    (FOUR_CHANNELS, 'tif', ''),  # the fourth is not alpha
    (Image.merge('LAB', RGB.split()), 'tif', 'LAB'),
    *((GREY, suffix, '') for suffix in ('png', 'tif', 'pgm')),
    (DEEP, 'png', ''),
    *((GREY // 16, suffix, SAVE_IT) for suffix in ('png', 'tif')),  # of 12 bits
    (DEEP // 16, 'png', SAVE_IT),
    (np.dstack([DEEP, GREY]), 'png', ''),
    (np.dstack([DEEP // 16, GREY | 65535]), 'png', SAVE_IT),  # only the opaque alpha has 16 bits
    (GREY * 0, 'png', ''),
    (Image.fromarray(GREY.astype(np.float32)), 'tif', SAVE_IT),
    (Image.fromarray(GREY.astype(np.int32) * 2**10), 'tif', SAVE_IT),
    *((np.full((20, 30), 4095, np.uint16), suffix, SAVE_IT) for suffix in ('png', 'tif')),
    *((np.full((20, 30), 4096, np.uint16), suffix, '') for suffix in ('png', 'tif')),
    (Image.new('L', (1, 320)), 'png', ''),
    (Image.new('L', (1, 321)), 'png', 'one side over 320 times the other'),
    *((partial(save_pages, kind=0), suffix, PAGES) for suffix in ('tif', 'gif', 'png', 'webp')),
    *((partial(save_pages, kind=1), suffix, '') for suffix in ('tif', 'jpg')),
    (partial(save_pages, kind=4), 'tif', ''),  # a mask of the first
    *((save_rotated, suffix, '') for suffix in ('jpg', 'png', 'tif')),
    # Before version 5, OpenCV ignores it.
    (save_rotated, 'webp', 'EXIF rotation' if cv2.getVersionMajor() < 5 else ''),
    *((partial(save_rotated, orientation=0), suffix, '') for suffix in ('jpg', 'png', 'webp')),
    (partial(save_rotated, image=Image.new('RGB', (20, 20))), 'webp', ''),  # looks the same
    (save_cut, 'jpg', 'truncated'),
    (save_cut, 'png', 'truncated'),
    (lambda path: path.write_text('words'), 'png', 'not an image'),
    (partial(RGB.save, format='EPS'), 'png', 'not an image'),
]
if (cv2.getVersionMajor(), cv2.getVersionMinor()) > (4, 11):  # OpenCV 4.11 reads no GIF
    PICTURES.append((TRANSPARENT, 'gif', ''))


@pytest.mark.parametrize(('content', 'suffix', 'words'), PICTURES)
def test_each_way_in_gives_the_array_that_training_loads_or_a_sentence(
    content, suffix, words, tmp_path
):
    """The copied ONNX predictor reads and rejects the same files."""
    path = tmp_path / f'x.{suffix}'
    if isinstance(content, np.ndarray):
        write_image(path, content)
    elif isinstance(content, Image.Image):
        content.save(path)
    else:
        content(path)
    ways = [path]
    if suffix not in ('jpg', 'webp') and words not in ('not an image', 'truncated'):
        opened = Image.open(path)  # lossy files are decoded differently by Pillow
        if content is TRANSPARENT:
            with pytest.raises(UserError, match='Pass its path'):
                convert_to_array(opened, DECODING)
        else:
            ways.append(opened)
        if words not in (PAGES, 'LAB') and content is not save_rotated:
            ways.append(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    finding = check_image(path).finding
    if words:
        assert words in f'{finding.rule.problem} {finding.example} {finding.rule.remedy}'
        for image in ways:
            with pytest.raises(UserError, match=words):
                convert_to_array(image, DECODING)
        with pytest.raises(ValueError, match='cannot be read'):
            read_image(path)
    else:
        assert not finding
        trained = LoadImageFromFile().transform({'img_path': str(path)})['img']
        for image in (read_image(path), *(convert_to_array(way, DECODING) for way in ways)):
            np.testing.assert_array_equal(image, trained)


def test_arrays_may_be_not_contiguous_and_have_one_channel():
    """torch does not support negative strides."""
    picture = picture_of(20, 30)
    for image in (picture[..., :1], picture[..., ::-1]):
        converted = convert_to_array(image, DECODING)
        np.testing.assert_array_equal(*np.broadcast_arrays(converted, image))
        assert converted.shape == picture.shape
        assert converted.flags['C_CONTIGUOUS']


@pytest.mark.parametrize(
    ('image', 'words'),
    [
        (np.zeros((20, 30, 2), np.uint8), r'has the shape \(20, 30, 2\)'),
        (np.zeros((20, 30, 3), bool), r'the dtype bool\. Expected'),
        (np.full((20, 30, 3), 255, np.int64), 'values from 255 to 255'),
        (np.full((20, 30, 3), -6, np.int16), 'values from -6 to -6'),
        (
            np.dstack([DEEP // 16, GREY | 65535]),
            'no value above 4095',
        ),  # only the opaque alpha has 16 bits
        (None, 'expected a path, a NumPy array or a Pillow image, got None'),
        ('missing.jpg', 'missing.jpg cannot be read: No such file'),
        ('.', '. cannot be read: Is a directory'),
        ('bomb.png', 'bomb.png cannot be read: it has over 178 megapixels'),
    ],
)
def test_invalid_images_are_rejected(image, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bomb(Path('bomb.png'))
    with pytest.raises(UserError, match=words):
        convert_to_array(image, DECODING)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Change to a folder with empty files."""
    monkeypatch.chdir(tmp_path)
    names = 'a/1.jpg a/2.PNG a/3.mp4 a/notes.txt a/.hidden.jpg a/frames.mp4/1.txt b/1.jpg b/c/4.tif'
    for name in [*names.split(), 'empty/x.txt', 'photo[1].jpg']:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ('names', 'images', 'videos'),
    [
        ('a', 'a/1.jpg a/2.PNG', ['a/3.mp4']),
        ('?/1.*', 'a/1.jpg b/1.jpg', []),
        ('b/**/*', 'b/1.jpg b/c/4.tif', []),
        ('photo[1].jpg', 'photo[1].jpg', []),
        ('b/1.jpg a/1.jpg b/../b/1.jpg b', 'b/1.jpg a/1.jpg', []),
        ('http://x/a//b http://x/a/b b', 'http://x/a//b http://x/a/b b/1.jpg', []),
    ],
)
def test_inputs_are_found_by_folder_glob_pattern_and_file(names, images, videos, files):
    """A file that is given twice is one input."""
    names = names.split()
    assert find_inputs(names) == (images.split(), videos)
    assert find_inputs([*names, str(Path(names[-1]).absolute())]) == (images.split(), videos)


def test_a_recursive_pattern_visits_each_folder_once(files):
    """A link to a folder above made 40 inputs of each picture; two of them never ended."""
    for name, target in {'b/up': '..', 'b/c/top': '../..', 'b/a': '../a', 'b/gone': 'x'}.items():
        Path(name).symlink_to(target)
    assert find_inputs(['b/**/*'])[0] == ['b/1.jpg', 'b/a/1.jpg', 'b/a/2.PNG', 'b/c/4.tif']


def test_a_recursive_pattern_may_name_links_and_hidden_folders(files):
    Path('a/latest').symlink_to('../b/c')
    Path('b/c/latest').symlink_to('../../a')
    Path('b/.originals').mkdir()
    Path('b/.originals/1.jpg').touch()
    assert expand_pattern('**/latest/4.tif') == ['a/latest/4.tif']
    assert expand_pattern('**/.originals/*.jpg') == ['b/.originals/1.jpg']
    assert sorted(expand_pattern('**/*.tif')) == ['b/c/4.tif']


def test_a_recursive_pattern_leaves_out_what_predict_has_written_in_and_below_its_folder(files):
    """But what it has written may be named."""
    for folder in ('b/predictions', 'a'):
        Path(folder, FOLDERS[0]).mkdir(parents=True)
        Path(folder, FOLDERS[0], '1.jpg').touch()
        Path(folder, PREDICTIONS).touch()
    assert find_inputs(['b/**/*'])[0] == ['b/1.jpg', 'b/c/4.tif']
    assert find_inputs(['a/**/*'])[0] == ['a/1.jpg', 'a/2.PNG']
    assert find_inputs([f'a/{FOLDERS[0]}/**/*'])[0] == [f'a/{FOLDERS[0]}/1.jpg']


NAMES = st.sampled_from(['a', 'b', '.h', 'a.jpg', '.h.jpg', 'c[1]'])
PATTERN_PARTS = st.sampled_from(
    ['**', '*', 'a', 'a_', 'b*', '.h', '.h_', '?', '*.jpg', 'c[[]*', '[ab]_', 'a**']
)


@given(
    paths=st.lists(st.lists(NAMES, min_size=1, max_size=4)),
    parts=st.lists(PATTERN_PARTS, min_size=1),
)
@example(paths=[['a']], parts=['**', '?', '**'])  # the file is not below a folder a
@settings(max_examples=60)
def test_patterns_match_what_glob_matches(paths, parts, tmp_path_factory):
    root = tmp_path_factory.mktemp('glob')
    for path in paths:
        *folders, name = path
        file = root.joinpath(*(f'{folder}_' for folder in folders), name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    pattern = os.path.join(root, *parts)  # noqa: PTH118
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207
    # Python 3.10 finds a/ where a is a file.
    expected = {path for path in found if Path(path).is_file() and not path.endswith('/')}
    assert {path for path in expand_pattern(pattern) if Path(path).is_file()} == expected


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('empty', 'no image or video found. For images in subfolders'),
        ('nowhere/*.jpg', 'no image or video found'),
        ('gone.jpg', 'there is no file or folder gone'),
        ('http://x/v.mp4', 'videos are not read from URLs'),
    ],
)
def test_inputs_without_images_are_rejected(name, words, files):
    with pytest.raises(UserError, match=words):
        find_inputs([name])
