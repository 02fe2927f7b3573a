"""Image files: each fault is answered by a sentence with the file's name, and none harms who looks."""

import resource

import cv2
import mmcv
import numpy as np
from PIL import Image

from mmgcvit.datasets.checks import Outcome
from mmgcvit.datasets.checks.images import Loader, Picture, is_too_large, look_at

from .made import (
    HEIGHT,
    NOT_DECODED,
    WIDTH,
    cut,
    expect_answers,
    look,
    pixels,
    write_bomb,
    write_coco,
    write_folders,
    write_image,
    write_jpeg_bomb,
    write_turned,
)

STOPPING = NOT_DECODED | {
    'cut': (cut, r'cannot be read .*truncated'),
    'a beginning': (lambda path: path.write_bytes(path.read_bytes()[:30]), 'cannot be read'),
    'text': (lambda path: path.write_text('Hello'), r'cannot be read .*no image'),
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


def harmed(root, harm):
    settings = write_coco(root)
    harm(root / 'images' / 'b.jpg')
    return settings


def test_what_stops_a_run_is_refused_by_name(tmp_path):
    expect_answers(STOPPING, harmed, tmp_path, 'images/b.jpg')


def test_what_loading_repairs_is_said_and_repaired(tmp_path):
    """By mmcv, into three channels of eight bits."""
    expect_answers(REPAIRED, harmed, tmp_path, 'images/b.jpg', Outcome.REPAIRED)
    for number, name in enumerate(REPAIRED):
        loaded = mmcv.imread(tmp_path / str(number) / 'images' / 'b.jpg')
        assert (loaded.shape, loaded.dtype) == ((HEIGHT, WIDTH, 3), np.uint8), name


def test_sizes_are_those_that_the_pipeline_loads(tmp_path):
    write_turned(tmp_path / 'a.jpg')
    for flag, size in (('color', (HEIGHT, WIDTH)), ('color_ignore_orientation', (WIDTH, HEIGHT))):
        found, problems = look_at(Picture(str(tmp_path / 'a.jpg'), annotated=size), Loader(flag))
        assert found == size
        words = [f'{tmp_path}/a.jpg (orientation 6)'] if flag == 'color' else []
        assert [said for _, said in problems] == words


def test_turned_images_are_whole_as_stored_and_repaired_where_the_pipeline_matches_the_annotated_size(tmp_path):
    def matched(root, harm):
        settings = harmed(root, harm)
        settings['pipeline'].insert(1, {'type': 'mmgcvit.ApplyExifAsAnnotated'})
        return settings

    faults = {'turned': (write_turned, 'as stored, against their EXIF orientation')}
    expect_answers(faults, matched, tmp_path, 'images/b.jpg', Outcome.REPAIRED)
    settings = harmed(tmp_path, write_turned)
    settings['pipeline'][0]['color_type'] = 'color_ignore_orientation'
    assert not look(settings).found


def test_a_bomb_is_known_by_its_header_and_takes_no_memory(tmp_path):
    for write, name in ((write_bomb, 'a.png'), (write_jpeg_bomb, 'a.jpg')):
        write(tmp_path / name)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert is_too_large(str(tmp_path / name))
        size, ((kind, _),) = look_at(Picture(str(tmp_path / name)), Loader())
        assert size is None
        assert 'by their headers' in kind.what
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    for harm in (write_image, cut, lambda path: path.write_text('Hello')):
        harm(tmp_path / 'a.jpg')
        assert not is_too_large(str(tmp_path / 'a.jpg'))


def test_of_many_images_some_are_opened(tmp_path):
    settings = write_folders(tmp_path)
    for number in range(20):
        (tmp_path / 'train' / 'cat' / f'{number}.jpg').write_text('no image')
    (found,) = look(settings, images=5).found.values()
    assert 3 <= found.count <= 5


def test_images_with_damaged_metadata_are_whole(tmp_path):
    write_image(tmp_path / 'a.jpg', exif=b'Exif\0\0garbage')
    assert look_at(Picture(str(tmp_path / 'a.jpg')), Loader()) == ((WIDTH, HEIGHT), [])
