"""Maps that number objects are told from maps of classes, and become the masks of these objects."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder

from .numbered_maps import GAPS, draw_numbers, write_maps

COUNTED = [range(1, n + 1) for n in (3, 9, 4)]
NAMES = [*'abcdefghij']
# The numbers in each map, --task, the names in classes.txt, and the number of classes or of objects
# or what the command says.
CASES = [
    (COUNTED, None, [], 'Add --task semantic for classes'),
    (COUNTED, None, NAMES, 'or --task segment for objects'),
    (COUNTED, 'semantic', [], 10),
    (COUNTED, 'semantic', NAMES, 10),
    (COUNTED, 'semantic', ['cell'], 'the classes are cell'),
    (COUNTED, 'segment', [], 16),
    (GAPS, 'segment', ['cell'], 5),
    (GAPS, 'detect', [], 'Add --task semantic for classes'),
    (COUNTED, 'segment', NAMES, 'one class, but there are 10 names'),
    # Pillow would read half of all numbers of 32 bits as negative ones.
    ([[5, -5]], 'segment', [], 'numbers under 0 or over 2147483647'),
]


@pytest.mark.parametrize(('maps', 'task', 'names', 'expected'), CASES)
def test_numbers_are_what_the_task_says_or_the_command_asks(maps, task, names, expected, tmp_path):
    dtype = np.uint8 if maps[0][-1] > 0 else np.int32
    write_maps(tmp_path, [draw_numbers(numbers, dtype) for numbers in maps], classes=names)
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            read_folder(tmp_path, task)
    elif task == 'semantic':
        assert len(read_folder(tmp_path, task).classes) == expected
    else:
        dataset = read_folder(tmp_path, task)
        assert dataset.classes == tuple(names or ['object'])
        assert len(dataset.splits['train'].objects) == expected


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize(
    'names',
    [
        ('images/{}.png', 'masks/{}.tif'),
        ('{}_IMG.png', '{}_Masks.tif'),
        ('{}.png', '{}_cp_masks.tif'),
    ],
)
def test_the_masks_of_objects_are_the_pixels_of_their_numbers(names, dtype, tmp_path):
    """Also for an object in two parts. In 8 bits, 255 is background, unless there is a 254."""
    maps = [draw_numbers(numbers, dtype) for numbers in (*COUNTED, [7, 200])]
    maps[3][-5:, -5:] = 7
    maps[3][-9:-7] = 255
    maps.append(draw_numbers([254, 255], dtype))
    maps.append(np.zeros_like(maps[0]))
    write_maps(tmp_path, maps, names)
    split = read_folder(tmp_path, 'segment').splits['train']
    for image, labels in zip(split.images, maps, strict=True):
        is_255_empty = dtype == np.uint8 and 254 not in labels
        numbers = {*np.unique(labels)} - ({0, 255} if is_255_empty else {0})
        for obj, number in zip(image.objects, sorted(numbers), strict=True):
            mask = obj.mask.entry
            np.testing.assert_array_equal(coco_mask.decode(mask), labels == number)
            assert obj.area == coco_mask.area(mask)
            assert obj.box.values == coco_mask.toBbox(mask).tolist()
