"""Image files: each fault is answered by a sentence with the file's name, and none harms who looks."""

import re
import resource

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.checks import Outcome
from mmgcvit.datasets.checks.images import Loader, Picture, look_at

from .made import (
    HEIGHT,
    ORIENTATION,
    WIDTH,
    cut,
    folder,
    look,
    pipe,
    pixels,
    refusal,
    said,
    write_bomb,
    write_coco,
    write_folders,
    write_image,
    write_turned,
)

STOPPING = {
    'missing': (lambda path: path.unlink(), 'files that are missing'),
    'empty': (lambda path: path.write_bytes(b''), 'files of 0 bytes'),
    'cut': (cut, r'cannot be read .*truncated'),
    'a beginning': (lambda path: path.write_bytes(path.read_bytes()[:30]), 'cannot be read'),
    'text': (lambda path: path.write_text('Hello'), r'cannot be read .*no image'),
    'pipe': (pipe, 'no regular files'),
    'folder': (folder, 'no regular files'),
    'bomb': (write_bomb, 'more than .* pixels by their headers'),
    'turned': (write_turned, 'EXIF orientation turns away .* is 30 x 40, annotated as 40 x 30'),
    'another size': (lambda path: Image.fromarray(pixels(7, 9)).save(path), 'is 7 x 9, annotated as 40 x 30'),
}


def write_sixteen_bits(path):
    cv2.imwrite(str(path.with_suffix('.png')), pixels().astype(np.uint16) * 257)
    path.with_suffix('.png').rename(path)


def write_as(mode, kind):
    return lambda path: Image.fromarray(pixels()).convert(mode).save(path, format=kind)


REPAIRED = {
    'grayscale': (write_as('L', 'JPEG'), 'grayscale'),
    'CMYK': (write_as('CMYK', 'JPEG'), 'CMYK'),
    'alpha': (write_as('RGBA', 'PNG'), 'alpha'),
    'grayscale of 16 bits': (write_as('I;16', 'PNG'), '16 bits'),
    'colour of 16 bits': (write_sixteen_bits, '16 bits'),
    'upside down': (lambda path: write_turned(path, orientation=3), 'orientation 3'),
}


@pytest.mark.parametrize('name', STOPPING)
def test_what_stops_a_run_is_refused_by_name(name, tmp_path):
    harm, words = STOPPING[name]
    settings = write_coco(tmp_path)
    harm(tmp_path / 'images' / 'b.jpg')
    sentence = refusal(settings)
    assert f'(1: {tmp_path}/images/b.jpg' in sentence
    assert re.search(words, sentence), sentence


@pytest.mark.parametrize('name', REPAIRED)
def test_what_loading_repairs_is_said(name, tmp_path):
    """And it is repaired: mmcv loads three channels of eight bits."""
    write, words = REPAIRED[name]
    settings = write_coco(tmp_path)
    write(tmp_path / 'images' / 'b.jpg')
    sentence = said(settings, Outcome.REPAIRED)
    assert f'{tmp_path}/images/b.jpg' in sentence
    assert words in sentence
    loaded = mmcv.imread(tmp_path / 'images' / 'b.jpg')
    assert (loaded.shape, loaded.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize(('flag', 'size'), [('color', (HEIGHT, WIDTH)), ('color_ignore_orientation', (WIDTH, HEIGHT))])
def test_sizes_are_those_that_the_pipeline_loads(flag, size, tmp_path):
    write_turned(tmp_path / 'a.jpg')
    found, problems = look_at(Picture(str(tmp_path / 'a.jpg'), annotated=size), Loader(flag))
    assert found == size
    assert [kind.outcome for kind, _ in problems] == ([Outcome.REPAIRED] if flag == 'color' else [])


def test_turned_images_are_whole_where_they_are_loaded_as_stored(tmp_path):
    settings = write_coco(tmp_path)
    write_turned(tmp_path / 'images' / 'b.jpg')
    settings['pipeline'][0]['color_type'] = 'color_ignore_orientation'
    assert not look(settings).found


def test_turned_images_are_repaired_where_the_pipeline_matches_the_annotated_size(tmp_path):
    settings = write_coco(tmp_path)
    write_turned(tmp_path / 'images' / 'b.jpg')
    settings['pipeline'].insert(1, {'type': 'mmgcvit.MatchAnnotatedSize'})
    assert 'as stored, against their EXIF orientation' in said(settings, Outcome.REPAIRED)


def test_a_bomb_takes_no_memory(tmp_path):
    write_image(tmp_path / 'a.png')
    write_bomb(tmp_path / 'a.png')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    look_at(Picture(str(tmp_path / 'a.png')), Loader())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_of_many_images_some_are_opened(tmp_path):
    settings = write_folders(tmp_path)
    for number in range(20):
        (tmp_path / 'train' / 'cat' / f'{number}.jpg').write_text('no image')
    (found,) = look(settings, images=5).found.values()
    assert 3 <= found.count <= 5


def test_images_with_damaged_metadata_are_whole(tmp_path):
    write_image(tmp_path / 'a.jpg', exif=b'Exif\0\0garbage')
    assert look_at(Picture(str(tmp_path / 'a.jpg')), Loader()) == ((WIDTH, HEIGHT), [])


def test_the_orientation_is_read_from_the_files_own_data(tmp_path):
    write_turned(tmp_path / 'a.jpg', orientation=8)
    with Image.open(tmp_path / 'a.jpg') as image:
        assert image.getexif()[ORIENTATION] == 8
    _, problems = look_at(Picture(str(tmp_path / 'a.jpg')), Loader())
    assert [words for _, words in problems] == [f'{tmp_path / "a.jpg"} (orientation 8)']
