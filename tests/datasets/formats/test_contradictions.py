"""Data that contradict themselves are asked about or named, never silently read one way."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmgcvit.datasets.formats import read_folder
from mmgcvit.errors import UserError

from .made import write

SIDE = 64
BLACK, GREEN, RED, BLUE = (0, 0, 0), (0, 160, 0), (160, 0, 0), (0, 0, 160)


def write_pairs(root, maps):
    """Write images and their maps, which are arrays or Pillow images."""
    for index, labels in enumerate(maps):
        write(root / f'images/{index}.png', np.full((SIDE, SIDE, 3), index, np.uint8))
        write(root / f'masks/{index}.png', labels)
    return root


def draw_indexed(colours, numbers):
    """Return an indexed image with a square of each number, and a palette of these colours."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for place, number in enumerate(numbers):
        labels[4 + 20 * place : 20 + 20 * place, 4:30] = number
    image = Image.fromarray(labels)
    image.putpalette([level for colour in colours for level in colour])
    return image


@pytest.mark.parametrize(
    ('other', 'words'),
    [
        ([BLACK, RED, GREEN], r'the colour \(160, 0, 0\) is the number 2 in .*and 1 in'),
        (
            [BLACK, RED, BLACK],
            r'the number 1 has the colour \(0, 160, 0\) in .*and \(160, 0, 0\) in',
        ),
        ([BLACK, GREEN, RED], ''),
        ([BLACK, BLACK, BLACK], ''),  # such a palette says nothing
    ],
)
def test_indexed_maps_whose_palettes_differ_are_asked_about(other, words, tmp_path):
    """Number 1 was the dog's green in some maps, and read as cat."""
    maps = [draw_indexed([BLACK, GREEN, RED], [1, 2]) for _ in range(4)]
    maps.append(draw_indexed(other, [2, 1] if other[2] == GREEN else [1]))
    write(tmp_path / 'classes.txt', 'background\ncat\ndog')
    write_pairs(tmp_path, maps)
    if not words:
        assert len(read_folder(tmp_path, 'semantic').splits['train'].images) == 5
        return
    with pytest.raises(UserError, match=rf'{words}.*save each map without its palette.*quantize'):
        read_folder(tmp_path, 'semantic')
    # The first way out: numbers count.
    for path in (tmp_path / 'masks').iterdir():
        Image.fromarray(np.asarray(Image.open(path))).save(path)
    assert len(read_folder(tmp_path, 'semantic').splits['train'].images) == 5


def draw_squares(numbers, dtype=np.uint8):
    labels = np.zeros((SIDE, SIDE), dtype)
    for place, number in enumerate(numbers):
        labels[4 + 20 * place : 20 + 20 * place, 4:30] = number
    return labels


@pytest.mark.parametrize('number', [1, 7])
def test_one_number_that_regions_of_all_maps_share_is_asked_about(number, tmp_path):
    """Each map was one object of many regions. Another number in one map says they are objects."""
    maps = [draw_squares([number] * 3) for _ in range(5)]
    write_pairs(tmp_path, maps)
    with pytest.raises(UserError, match=rf'{number} is the only number in all 5 maps, and 15 regi'):
        read_folder(tmp_path, 'segment')
    write(tmp_path / 'masks/0.png', maps[0] + (maps[0] > 0).astype(np.uint8))
    assert len(read_folder(tmp_path, 'segment').splits['train'].objects) == 5


def test_maps_of_one_object_each_have_one_number(tmp_path):
    maps = [draw_squares([1]) for _ in range(5)]
    maps[0][60:62, 60:62] = 1  # a speck
    write_pairs(tmp_path, maps)
    assert len(read_folder(tmp_path, 'segment').splits['train'].objects) == 5


@pytest.mark.parametrize(('dtype', 'void'), [(np.uint8, 255), (np.uint16, 65535)])
def test_the_highest_number_of_a_map_is_background_and_named(dtype, void, tmp_path):
    maps = [draw_squares([1, 2, void], dtype), draw_squares([1, void - 1, void], dtype)]
    maps += [draw_squares([3], dtype) for _ in range(3)]
    write_pairs(tmp_path, maps)
    dataset = read_folder(tmp_path, 'segment')
    assert len(dataset.splits['train'].objects) == 2 + 3 + 3
    assert 'which is read as background' in str(dataset)
    assert 'masks/0.png' in str(dataset)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_maps_with_soft_edges_are_not_numbers(dtype, tmp_path):
    """One circle with antialiased edges was 26 objects."""
    large = Image.new('L', (4 * SIDE, 4 * SIDE))
    ImageDraw.Draw(large).ellipse((30, 40, 200, 220), fill=255)
    soft = np.asarray(large.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).astype(dtype)
    write_pairs(tmp_path, [soft] * 3)
    with pytest.raises(UserError, match='soft edges'):
        read_folder(tmp_path, 'segment')


def test_objects_of_a_pixel_are_objects(tmp_path):
    spots = np.zeros((SIDE, SIDE), np.uint8)
    spots[::8, ::8] = np.arange(1, 65).reshape(8, 8)
    write_pairs(tmp_path, [spots] * 1)
    assert len(read_folder(tmp_path, 'segment').splits['train'].objects) == 64
