"""Data that contradict themselves are asked about or named, never silently read one way."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder

from ...coco import make_annotation, make_content, make_image
from .formats.made import write

SIDE = 64
BLACK = (0, 0, 0)
GREEN = (0, 160, 0)
RED = (160, 0, 0)
BLUE = (0, 0, 160)


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
            [BLACK, BLUE, BLACK],
            r'the number 1 has the colour \(0, 160, 0\) in .*and \(0, 0, 160\) in',
        ),
        ([BLACK, GREEN, RED], ''),
        ([BLACK, BLACK, BLACK], ''),  # such a palette says nothing
        ([BLACK, BLACK, RED], ''),  # nor does a colour that it has twice
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


@pytest.mark.parametrize(('width', 'is_speck'), [(2, True), (10, True), (11, False)])
def test_maps_of_one_object_each_have_one_number(width, is_speck, tmp_path):
    """Regions under a twentieth of the object, which has 16 x 26 px, are specks."""
    maps = [draw_squares([1]) for _ in range(5)]
    for labels in maps:
        labels[50:52, 4 : 4 + width] = 1
    write_pairs(tmp_path, maps)
    if is_speck:
        assert len(read_folder(tmp_path, 'segment').splits['train'].objects) == 5
    else:
        with pytest.raises(UserError, match='1 is the only number in all 5 maps, and 10 regions'):
            read_folder(tmp_path, 'segment')


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


def write_photo(path):
    write(path, np.full((SIDE, 2 * SIDE, 3), len(path.stem) + ord(path.stem[-1]), np.uint8))


def write_coco(root, objects, split='train'):
    """Write an image for each object, and a COCO file. The object has a box and more keys."""
    images = []
    annotations = []
    for index, entry in enumerate(objects, start=1):
        write_photo(root / f'{split}/{index}.png')
        images.append(make_image(index, f'{index}.png', 2 * SIDE, SIDE))
        others = {key: value for key, value in entry.items() if key != 'bbox'}
        annotations.append(make_annotation(index, index, 1, entry['bbox'], **others))
    content = make_content(images, annotations, {'bar': 1})
    write(root / f'annotations/{split}.json', json.dumps(content))


@pytest.mark.parametrize('with_masks', [False, True])
def test_corners_inside_the_image_are_not_read_as_width_and_height(with_masks, tmp_path):
    annotations = []
    for index in range(6):
        x = 4 + index
        y = 6
        x2 = 30 + index
        y2 = 20
        entry = {'bbox': [x, y, x2, y2], 'area': (x2 - x) * (y2 - y)}
        if with_masks:
            entry |= {'segmentation': [[x, y, x2, y, x2, y2, x, y2 - 4]], 'area': 300}
        annotations.append(entry)
    write_coco(tmp_path, annotations)
    for task in (None, 'detect'):
        with pytest.raises(UserError, match=r'6 of 6 objects.*write \[x1, y1, x2 - x1, y2 - y1\]'):
            read_folder(tmp_path, task)
    for entry in annotations:
        x, y, x2, y2 = entry['bbox']
        entry['bbox'] = [x, y, x2 - x, y2 - y]
    write_coco(tmp_path, annotations)
    assert len(read_folder(tmp_path, 'detect').splits['train'].objects) == 6


TURNED_BAR = {'bbox': [20, 27, 60, 10], 'area': 600, 'attributes': {'rotation': 90.0}}


def test_a_rectangle_that_cvat_has_rotated_is_the_box_that_encloses_it(tmp_path):
    """A bar of 60 x 10, rotated by 90 degrees, was read unrotated. A line names it."""
    plain = {'bbox': [20, 27, 60, 10], 'area': 600, 'attributes': {'rotation': 0.0}}
    write_coco(tmp_path, [dict(TURNED_BAR), plain])
    dataset = read_folder(tmp_path)
    turned, unturned = dataset.splits['train'].objects
    assert turned.box.values == pytest.approx([45, 2, 10, 60])
    assert unturned.box.values == [20, 27, 60, 10]
    assert 'that CVAT has rotated' in str(dataset)
    assert dataset.annotation_types == ('boxes',)
    # What is written for the training says nothing of a rotation: it was applied.
    assert turned.others['attributes'] == {}


def test_a_box_with_an_empty_polygon_has_no_mask(tmp_path):
    """Beside masks it is an object whose mask has no area."""
    box = {'bbox': [20, 27, 30, 10], 'area': 300, 'segmentation': [[]]}
    write_coco(tmp_path, [dict(box) for _ in range(12)])
    dataset = read_folder(tmp_path)
    assert dataset.annotation_types == ('boxes',)
    assert {each.mask for each in dataset.splits['train'].objects} == {None}
    outline = [[2, 2, 30, 4, 20, 30]]
    masked = [{'bbox': [2, 2, 28, 28], 'area': 300, 'segmentation': outline} for _ in range(20)]
    write_coco(tmp_path, [box, *masked])
    assert 'the mask has no area' in str(read_folder(tmp_path))


def test_objects_that_are_there_with_and_without_a_mask_have_one(tmp_path):
    """CVAT has exported each twice. Boxes were read, as half of the objects had a mask."""
    polygon = [4, 4, 20, 4, 20, 16, 12, 18, 4, 16]
    annotations = []
    for image_id in (1, 2):
        for mask in ([polygon], []):
            number = len(annotations) + 1
            box = [4, 4, 16, 14]
            annotations.append(
                make_annotation(number, image_id, 1, box, area=208, segmentation=mask)
            )
    images = [make_image(image_id, f'{image_id}.png', 64, 64) for image_id in (1, 2)]
    content = make_content(images, annotations, {'bar': 1})
    write(tmp_path / 'annotations.json', json.dumps(content))
    for image_id in (1, 2):
        write(tmp_path / f'{image_id}.png', np.full((64, 64, 3), image_id, np.uint8))
    dataset = read_folder(tmp_path)
    assert dataset.annotation_types[0] == 'masks'
    assert len(dataset.splits['train'].objects) == 2
    assert 'annotated more than once' in str(dataset)


def test_a_rotated_rectangle_beside_masks_is_a_mask(tmp_path):
    outline = [[2, 2, 30, 4, 20, 30]]
    masked = [{'bbox': [2, 2, 28, 28], 'area': 300, 'segmentation': outline} for _ in range(20)]
    write_coco(tmp_path, [dict(TURNED_BAR), *masked])
    turned, *_ = read_folder(tmp_path, 'segment').splits['train'].objects
    (corners,) = turned.mask
    points = sorted(zip(corners[::2], corners[1::2], strict=True))
    assert points == [(45, 2), (45, 62), (55, 2), (55, 62)]


def write_voc(root, *boxes, attributes=''):
    """Write an image with one box for each text of corners."""
    for index, (xmin, ymin, xmax, ymax) in enumerate(boxes):
        write_photo(root / f'JPEGImages/{index}.png')
        corners = f'<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>'
        write(
            root / f'Annotations/{index}.xml',
            f'<annotation><object><name>bar</name>{attributes}<bndbox>{corners}</bndbox></object>'
            '</annotation>',
        )


@pytest.mark.parametrize(
    ('boxes', 'first', 'words'),
    [
        ([(10, 10, 18, 18)] * 20, 1, ''),
        ([(10.5, 10, 18.5, 18)] * 20, 0, 'fractions of pixels'),
        ([(10.5, 10, 18.5, 18)] + [(10, 10, 18, 18)] * 19, 1, ''),  # as in VOC2012
        ([(0, 10, 18, 18)] + [(10, 10, 18, 18)] * 19, 0, 'count from 0'),
    ],
)
def test_voc_counts_from_what_its_files_show(boxes, first, words, tmp_path):
    """1 px was subtracted from CVAT's fractions: IoU 0.79 for a box of 8 px."""
    write_voc(tmp_path, *boxes)
    dataset = read_folder(tmp_path)
    last = dataset.splits['train'].objects[-1].box
    left, top, right, bottom = boxes[-1]
    assert last.edges == (left - first, top - first, right, bottom)
    assert words in str(dataset)
    assert words or 'count from 0' not in str(dataset)


def test_a_rotation_in_voc_is_read_as_in_coco(tmp_path):
    rotation = '<attribute><name>rotation</name><value>90.0</value></attribute>'
    write_voc(tmp_path, (0, 27, 60, 37), attributes=f'<attributes>{rotation}</attributes>')
    dataset = read_folder(tmp_path)
    (turned,) = dataset.splits['train'].objects
    assert turned.box.values == pytest.approx([25, 2, 10, 60])
    assert 'that CVAT has rotated' in str(dataset)


def write_yolo(root, lines, names=('bar',), suffix='.txt'):
    write(root / 'data.yaml', f'train: images\nnames: [{", ".join(names)}]')
    for index, line in enumerate(lines):
        write_photo(root / f'images/{index}.png')
        write(root / f'labels/{index}{suffix}', line)


def make_rectangle(x, y, degrees):
    """Return the corners of a rectangle of 0.3 by 0.1 of the height, in fractions of the image."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[-0.15, -0.05], [0.15, -0.05], [0.15, 0.05], [-0.15, 0.05]]) @ turn
    corners = corners * (0.5, 1) + (x, y)  # images are twice as wide as high
    return '0 ' + ' '.join(f'{value:.6f}' for value in corners.ravel())


def test_rotated_rectangles_of_yolo_are_asked_about(tmp_path):
    """YOLO OBB was trained as outlines without a word."""
    write_yolo(tmp_path, [make_rectangle(0.3 + 0.05 * i, 0.5, 17 * i) for i in range(6)])
    with pytest.raises(
        UserError, match=r'all 6 outlines are rotated .*--task detect .*--task segm'
    ):
        read_folder(tmp_path)
    (box, *_) = read_folder(tmp_path, 'detect').splits['train'].objects
    assert box.box.values == pytest.approx([28.8, 28.8, 19.2, 6.4], abs=0.02)
    assert read_folder(tmp_path, 'segment').annotation_types[0] == 'masks'


def test_outlines_of_four_corners_that_are_no_rectangles_are_outlines(tmp_path):
    write_yolo(tmp_path, ['0 0.1 0.1 0.4 0.2 0.5 0.6 0.2 0.5'] * 3)
    assert read_folder(tmp_path).annotation_types[0] == 'masks'


def test_lines_that_look_like_poses_are_asked_about(tmp_path):
    """Without kpt_shape and visibility, keypoints became corners of polygons."""
    lines = [f'0 0.{4 + i} 0.5 0.2 0.4 0.{4 + i} 0.45 0.{4 + i}5 0.6 0 0' for i in range(4)]
    write_yolo(tmp_path, lines)
    for task in (None, 'detect'):
        with pytest.raises(
            UserError, match=r'look like pose labels.*--task segment.*keep the first'
        ):
            read_folder(tmp_path, task)
    assert len(read_folder(tmp_path, 'segment').splits['train'].images) == 4


@pytest.mark.parametrize('suffix', ['.TXT', '.Txt', '.tXt'])
def test_the_suffix_of_labels_may_have_any_case(suffix, tmp_path):
    """Images with labels .Txt were background."""
    write_yolo(tmp_path, ['0 0.5 0.5 0.2 0.2'] * 3, suffix=suffix)
    assert len(read_folder(tmp_path).splits['train'].objects) == 3


NOTES = '{"categories": [{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]}'
# Ids as labels with category="1" have them
STRING_NOTES = NOTES.replace('1', '"1"').replace('0', '"0"')


@pytest.mark.parametrize(
    ('file', 'content'),
    [
        ('classes.txt', 'cat\ndog\n'),
        ('notes.json', NOTES),
        ('notes.json', STRING_NOTES),
        ('labels/classes.txt', 'cat\ndog'),
    ],
)
def test_lists_of_class_names_that_differ_are_named(file, content, tmp_path):
    write(tmp_path / file, content)
    for names, words in {('cat', 'dog'): '', ('cat', 'dog', 'eel'): 'has 2 class names'}.items():
        write_yolo(tmp_path, ['0 0.5 0.5 0.2 0.2'] * 3, names)
        assert words in str(read_folder(tmp_path))
    write_yolo(tmp_path, ['0 0.5 0.5 0.2 0.2'] * 3, ('dog', 'cat'))
    with pytest.raises(UserError, match=f"class 0 is 'dog' in data.yaml, and 'cat' in {file}"):
        read_folder(tmp_path)


@pytest.mark.parametrize(('first', 'words'), [(1, 'class 1 is .dog.'), (2, 'class 2 is missing')])
def test_label_studios_ids_are_numbers_in_label_files_wherever_they_begin(first, words, tmp_path):
    """Its classes.txt has the names without ids, so that a data.yaml made of it is off."""
    categories = [{'id': str(first), 'name': 'cat'}, {'id': str(first + 1), 'name': 'dog'}]
    write(tmp_path / 'notes.json', json.dumps({'categories': categories}))
    write_yolo(tmp_path, ['1 0.5 0.5 0.2 0.2'] * 3, ('cat', 'dog'))
    with pytest.raises(UserError, match=f"{words} in data.yaml, and 'cat' in notes.json"):
        read_folder(tmp_path)


def test_lists_of_class_names_of_maps_that_differ_are_named(tmp_path):
    write_pairs(tmp_path, [draw_squares([1, 2])] * 3)
    write(tmp_path / 'classes.txt', 'background\ncat\ndog')
    write(tmp_path / 'class_names.txt', 'background\ndog\ncat')
    with pytest.raises(
        UserError, match=r"class 1 is 'cat' in classes.txt, and 'dog' in class_names"
    ):
        read_folder(tmp_path, 'semantic')


def test_the_ignored_name_of_labelme_is_no_class(tmp_path):
    """It shifted all names by one."""
    write_pairs(tmp_path, [draw_squares([1, 2])] * 3)
    write(tmp_path / 'classes.txt', '__ignore__\n_background_\ncat\ndog')
    assert read_folder(tmp_path, 'semantic').classes == ('_background_', 'cat', 'dog')


def test_a_coco_file_without_images_is_named(tmp_path):
    write_coco(tmp_path, [{'bbox': [2, 2, 9, 9], 'area': 81} for _ in range(3)])
    write_coco(tmp_path, [], split='val')
    with pytest.raises(UserError, match=r'val\.json lists no images'):
        read_folder(tmp_path)
