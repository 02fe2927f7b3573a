"""What a reader does with a folder that lies just beside what it is made for.

Modules: `mmgcvit/own/data/formats`, `mmgcvit/own/data/layouts.py`, `mmgcvit/own/data/folders.py`,
`mmgcvit/datasets/label_maps.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from mmgcvit.datasets.annotations import are_numbers
from mmgcvit.datasets.label_maps import read_segmentation_map
from mmgcvit.errors import UserError
from mmgcvit.own.data.folders import scan_folder
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.data.formats.class_pairs import NameIndex, check_sizes_differ
from mmgcvit.own.data.formats.coco import get_file_split
from mmgcvit.own.data.formats.foreign import explain_label_studio
from mmgcvit.own.data.formats.instance_maps import find_numbers
from mmgcvit.own.data.formats.name_lists import read_label_studio_names
from mmgcvit.own.data.formats.yolo import have_keypoints, may_be_pose, parse_line

from ...coco import make_annotation, make_content, make_image
from .formats.made import write

SIDE = 40
BOX = '0 0.5 0.5 0.5 0.5'  # a line of YOLO
NAMES = 'names: [cat, dog]\n'


def write_picture(path, number):
    """Write a picture that no other one of this number is a copy of."""
    write(path, np.full((SIDE, SIDE, 3), 5 * number, np.uint8))


def write_yolo(root, yaml, images):
    """Write pictures at these paths, each with a box, and a YAML file."""
    write(root / 'data.yaml', NAMES + yaml)
    for number, name in enumerate(images):
        write_picture(root / f'{name}.png', number)
        write(root / f'{name}.txt'.replace('images', 'labels'), BOX)


def list_names(dataset, split='train'):
    return [path.stem for path in dataset.splits[split].image_paths]


def test_a_yolo_path_with_dots_that_may_be_two_folders_is_asked_about(tmp_path):
    """Roboflow writes ../train/images for train/images."""
    root = tmp_path / 'data'
    write_yolo(root, 'train: ../train/images\n', ['train/images/a', 'train/images/b'])
    assert list_names(read_folder(root)) == ['a', 'b']
    write_picture(tmp_path / 'train/images/c.png', 9)
    with pytest.raises(UserError, match=r'\.\./train/images is .* or .*, and both exist'):
        read_folder(root)


@pytest.mark.parametrize('folder', ['', 'data/'])
def test_the_start_of_cvats_lines_is_a_folder_only_where_there_is_one(folder, tmp_path):
    names = [f'{folder}images/train/a', f'{folder}images/train/b']
    write_yolo(tmp_path, 'train: train.txt\n', names)
    write(tmp_path / 'train.txt', 'data/images/train/a.png\ndata/images/train/b.png\n')
    assert list_names(read_folder(tmp_path)) == ['a', 'b']


@pytest.mark.parametrize('split', ['val', 'test'])
def test_a_yolo_folder_of_another_split_that_is_missing_is_named(split, tmp_path):
    """Tools name folders for splits that they do not write."""
    write_yolo(tmp_path, f'train: images/train\n{split}: images/{split}\n', ['images/train/a'])
    dataset = read_folder(tmp_path)
    assert [*dataset.splits] == ['train']
    assert f'{split} is left out: ' in '\n'.join(dataset.notes)


def test_the_last_folder_of_images_is_that_of_labels(tmp_path):
    """As for Ultralytics."""
    write(tmp_path / 'data.yaml', f'{NAMES}train: images/x/images\n')
    write_picture(tmp_path / 'images/x/images/a.png', 1)
    write(tmp_path / 'images/x/labels/a.txt', BOX)
    assert read_folder(tmp_path).splits['train'].count_classes() == {'cat': 1}


@pytest.mark.parametrize('suffix', ['.txt', '.TXT', '.tXt'])
def test_a_yolo_label_file_without_an_image_is_named_by_any_case_of_its_suffix(suffix, tmp_path):
    """One without an object is not."""
    images = [f'images/train/{name}' for name in 'abcdefghij']
    write_yolo(tmp_path, 'train: images/train\n', images)
    write(tmp_path / f'labels/train/k{suffix}', BOX)
    write(tmp_path / f'labels/train/l{suffix}', '')
    (note,) = read_folder(tmp_path).notes[-1:]
    assert f'labels/train/k{suffix}' in note
    assert f'l{suffix}' not in note


@pytest.mark.parametrize('folder', ['labels/old', 'old/labels', 'labels', 'labels/train/old'])
def test_yolo_labels_in_other_folders_are_said_to_be_unread(folder, tmp_path):
    write_yolo(tmp_path, 'train: images/train\n', ['images/train/a', 'images/train/b'])
    write(tmp_path / folder / 'other.txt', BOX)
    (note,) = read_folder(tmp_path).notes
    assert note.startswith('not read, because no image has its labels there: 1 label file')
    assert f'{folder}/other.txt' in note


@pytest.mark.parametrize('name', ['data.yaml', 'dataset.yml', 'others.yaml'])
def test_a_yaml_file_of_yolo_is_in_the_folder_itself(name, tmp_path):
    """Those below are of models or other datasets."""
    write_yolo(tmp_path, 'train: images\n', ['images/a', 'images/b'])
    write(tmp_path / f'runs/{name}', 'train: images\nnames: [owl]\n')
    assert read_folder(tmp_path).classes == ('cat', 'dog')


def write_voc_lists(root, lists):
    """Write pictures a to e with XML files, and lists of their names in ImageSets."""
    for number, name in enumerate('abcde'):
        write_picture(root / f'JPEGImages/{name}.png', number)
        box = '<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>30</ymax></bndbox>'
        size = f'<size><width>{SIDE}</width><height>{SIDE}</height></size>'
        text = f'<annotation>{size}<object><name>cat</name>{box}</object></annotation>'
        write(root / f'Annotations/{name}.xml', text)
    for name, lines in lists.items():
        write(root / f'ImageSets/Main/{name}.txt', '\n'.join(lines))


@pytest.mark.parametrize(
    ('lists', 'expected'),
    [
        ({'trainval': 'abcde', 'val': 'de'}, {'train': 'abc', 'val': 'de'}),
        ({'trainval': 'abcd', 'val': 'd', 'test': 'e'}, {'train': 'abc', 'val': 'd', 'test': 'e'}),
        ({'default': 'abcde', 'test': 'e'}, {'train': 'abcd', 'test': 'e'}),
        ({'trainval': 'abcde', 'train': 'ab', 'val': 'c'}, {'train': 'ab', 'val': 'c'}),
    ],
)
def test_no_image_of_another_list_is_trained(lists, expected, tmp_path):
    """The list trainval has the images of both splits."""
    write_voc_lists(tmp_path, lists)
    dataset = read_folder(tmp_path)
    assert {split: ''.join(list_names(dataset, split)) for split in dataset.splits} == expected
    assert 'also in validation or test' not in '\n'.join(dataset.notes)


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_only_images_for_testing_need_no_xml_file_of_their_name(split, tmp_path):
    """In a list for training or validation, such an image is a line that names nothing."""
    lists = {'train': 'abc', 'val': 'de', 'test': ''}
    write_voc_lists(tmp_path, {**lists, split: f'{lists[split]}f'})
    write_picture(tmp_path / 'JPEGImages/f.png', 9)
    if split == 'test':
        assert list_names(read_folder(tmp_path)) == ['a', 'b', 'c']
    else:
        with pytest.raises(UserError, match=f"name no XML file or map.*{split}.txt: 'f'"):
            read_folder(tmp_path)


def write_coco(root, split, classes, used, number):
    """Write a picture and an annotation file, with an object of each of the classes ``used``."""
    write_picture(root / f'{split}/{number}.png', number)
    ids = {name: index for index, name in enumerate(classes)}
    annotations = [
        make_annotation(index, 1, ids[name], [4, 4, 20, 10]) for index, name in enumerate(used)
    ]
    content = make_content([make_image(1, f'{number}.png', SIDE, SIDE)], annotations, ids)
    for category in content['categories']:
        category['supercategory'] = 'things'
    write(root / f'annotations/instances_{split}.json', json.dumps(content))


@pytest.mark.parametrize(
    ('used', 'classes'), [(['cat', 'dog'], ('cat', 'dog')), (['things', 'cat'], None)]
)
def test_roboflows_parent_of_all_classes_is_left_out_if_it_has_no_objects(used, classes, tmp_path):
    names = ['things', 'cat', 'dog']
    write_coco(tmp_path, 'train', names, used, 1)
    assert read_folder(tmp_path).classes == (classes or (*names,))


def test_validation_may_list_a_class_that_training_lacks_but_have_no_object_of_it(tmp_path):
    write_coco(tmp_path, 'train', ['cat', 'dog'], ['cat', 'dog'], 1)
    write_coco(tmp_path, 'val', ['cat', 'dog', 'cow'], ['cat', 'dog'], 2)
    assert read_folder(tmp_path).classes == ('cat', 'dog')
    write_coco(tmp_path, 'val', ['cat', 'dog', 'cow'], ['cat', 'cow'], 2)
    with pytest.raises(UserError, match='has objects of the classes cow, but training has only'):
        read_folder(tmp_path)


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('key', ['images', 'categories'])
def test_two_entries_of_coco_with_one_id_are_refused(key, split, tmp_path):
    """An object with this id may be of either."""
    for number, name in enumerate(('train', 'val')):
        write_coco(tmp_path, name, ['cat', 'dog'], ['cat', 'dog'], number)
    file = tmp_path / f'annotations/instances_{split}.json'
    content = json.loads(file.read_text())
    first = content[key][0]
    name = {'train': 'cow', 'val': 'dog'}[split]
    content[key].append({**first, 'name': name, 'file_name': 'other.png'})
    file.write_text(json.dumps(content))
    words = f'instances_{split}.json lists several images or categories with the id {first["id"]}'
    with pytest.raises(UserError, match=words):
        read_folder(tmp_path)


@pytest.mark.parametrize('iscrowd', [0, 1])
@pytest.mark.parametrize('ignore', [0, 1])
def test_an_object_that_coco_ignores_is_a_crowd_only_by_iscrowd(ignore, iscrowd, tmp_path):
    """Both are neither trained nor scored."""
    write_picture(tmp_path / 'train/a.png', 1)
    flags = {'ignore': ignore, 'iscrowd': iscrowd}
    annotations = [
        make_annotation(1, 1, 1, [4, 4, 20, 10]),
        make_annotation(2, 1, 1, [9, 9, 20, 10], **flags),
    ]
    content = make_content([make_image(1, 'a.png', SIDE, SIDE)], annotations, {'cat': 1})
    write(tmp_path / 'annotations/instances_train.json', json.dumps(content))
    (image,) = read_folder(tmp_path).splits['train'].images
    found = [(each.is_crowd, each.is_ignored) for each in image.objects]
    assert found == [(False, False), (bool(iscrowd), bool(iscrowd or ignore))]


def write_maps(root, maps, names):
    for number, values in enumerate(maps):
        write_picture(root / f'images/{number}.png', number)
        labels = np.resize(np.array(values, np.uint8), (SIDE, SIDE))
        write(root / f'masks/{number}.png', labels)
    write(root / 'classes.txt', '\n'.join(names))


@pytest.mark.parametrize(
    ('maps', 'num_classes', 'expected'),
    [
        ([[0, 255], [0]], 2, 'read as 1'),  # 255 is the second class
        ([[0, 1], [0, 1, 255]], 2, ''),  # with a class 1, 255 is not a class
        ([[0, 1, 2], [0, 2, 255]], 3, ''),
        ([[0, 1, 255], [0, 255]], 2, ''),
        ([[0, 255], [0, 1]], 2, 'has 255 and no 1'),
        ([[0, 255], [0, 1, 2]], 3, ''),  # more classes than two: 255 can only be none
        ([[255], [255]], 2, 'has no labelled pixel'),
    ],
)
def test_255_is_the_second_of_two_classes_only_where_nothing_else_can_be(
    maps, num_classes, expected, tmp_path
):
    write_maps(tmp_path, maps, ['sky', 'cat', 'dog'][:num_classes])
    if 'has' in expected:
        with pytest.raises(UserError, match=expected):
            read_folder(tmp_path, 'semantic')
        return
    dataset = read_folder(tmp_path, 'semantic')
    assert any('is read as 1' in note for note in dataset.notes) == bool(expected)
    counts = dataset.splits['train'].count_classes()
    num_with_cat = sum(1 in each or (bool(expected) and 255 in each) for each in maps)
    assert counts['cat'] == num_with_cat


@pytest.mark.parametrize(('num_masks', 'annotation_type'), [(18, 'boxes'), (19, 'masks')])
def test_masks_are_trained_if_more_than_nine_of_ten_objects_have_one(
    num_masks, annotation_type, tmp_path
):
    """The image has 20 objects, ``num_masks`` of them with a mask."""
    write_picture(tmp_path / 'train/a.png', 1)
    annotations = []
    for number in range(20):
        x = 4 + number / 2
        triangle = [x, 4, x + 20, 4, x, 14]
        masks = [triangle] if number < num_masks else []
        annotations.append(make_annotation(number, 1, 1, [x, 4, 20, 10], segmentation=masks))
    content = make_content([make_image(1, 'a.png', SIDE, SIDE)], annotations, {'cat': 1})
    write(tmp_path / 'annotations/instances_train.json', json.dumps(content))
    assert read_folder(tmp_path).annotation_types[0] == annotation_type


def read_voc_box(root, corners, size=(60, 40), more=''):
    """Write a picture of 60 x 40 px with an object in its XML file, and return what is read."""
    write(root / 'a.png', np.zeros((40, 60, 3), np.uint8))
    names = ('xmin', 'ymin', 'xmax', 'ymax')
    box = ''.join(f'<{key}>{value}</{key}>' for key, value in zip(names, corners, strict=True))
    sides = f'<size><width>{size[0]}</width><height>{size[1]}</height></size>'
    text = f'{sides}<object><name>cat</name><bndbox>{box}</bndbox>{more}</object>'
    write(root / 'a.xml', f'<annotation>{text}</annotation>')
    (image,) = read_folder(root).splits['train'].images
    return image


@pytest.mark.parametrize(
    ('corners', 'size', 'expected'),
    [
        ((2, 3, 20, 30), (60, 40), [1, 2, 19, 28]),
        ((5, 5, 5, 5), (60, 40), [4, 4, 1, 1]),  # a pixel
        ((5, 0, 20, 30), (60, 40), [5, 0, 15, 30]),  # counted from 0, by its top edge
        ((5.5, 3, 20.5, 30), (60, 40), [5.5, 3, 15, 27]),  # fractions are counted from 0
        ((2, 3, 20, 30), (60, 0), [1, 2, 19, 28]),  # the size is that of the image
    ],
)
def test_a_box_of_voc_is_that_in_pixels(corners, size, expected, tmp_path):
    image = read_voc_box(tmp_path, corners, size)
    assert image.size == (60, 40)
    assert [each.box.values for each in image.objects] == [expected]


@pytest.mark.parametrize(
    ('corners', 'rotation', 'expected'),
    [
        ((31, 5, 60, 14), 90, [40, 0, 10, 24]),  # its centre is (45, 9); cut to the image above
        ((41, 21, 60, 30), -90, [45, 15, 10, 20]),
        ((31, 5, 60, 14), 180, [30, 4, 30, 10]),
        ((31, 5, 60, 14), 360, [30, 4, 30, 10]),
    ],
)
def test_a_box_of_voc_that_cvat_has_rotated_is_the_one_that_encloses_it(
    corners, rotation, expected, tmp_path
):
    """The image is 60 px wide and 40 high."""
    value = f'<attribute><name>rotation</name><value>{rotation}</value></attribute>'
    more = f'<attributes>{value}</attributes>'
    (each,) = read_voc_box(tmp_path, corners, more=more).objects
    assert each.box.values == pytest.approx(expected)


@pytest.mark.parametrize(
    ('more', 'expected'),
    [
        ({'attributes': {'rotation': 90.0}}, [9, 0, 10, 19]),  # cut to the image
        ({'attributes': {'rotation': 360.0}}, [4, 4, 20, 10]),
        (
            {'attributes': {'rotation': 90.0}, 'segmentation': [[4, 4, 24, 4, 24, 14]]},
            [4, 4, 20, 10],  # of the mask
        ),
        ({'attributes': {'rotation': 90.0}, 'segmentation': [[]]}, [4, 4, 20, 10]),
    ],
)
def test_a_box_that_cvat_has_rotated_is_the_one_that_encloses_it(more, expected, tmp_path):
    write_picture(tmp_path / 'train/a.png', 1)
    one = make_annotation(1, 1, 1, [4, 4, 20, 10], **more)
    content = make_content([make_image(1, 'a.png', SIDE, SIDE)], [one], {'cat': 1})
    write(tmp_path / 'annotations/instances_train.json', json.dumps(content))
    dataset = read_folder(tmp_path, 'detect')
    assert [each.box.values for each in dataset.splits['train'].objects] == [expected]
    assert any('rotated' in note for note in dataset.notes) == (expected != [4, 4, 20, 10])


def test_a_json_file_with_one_of_cocos_lists_is_none_of_coco(tmp_path):
    for number, name in enumerate(('cat/a', 'dog/b')):
        write_picture(tmp_path / f'{name}.png', number)
    write(tmp_path / 'notes.json', '{"images": 2}')
    assert read_folder(tmp_path).format == 'class folders'


@pytest.mark.parametrize('name', ['notes.json', 'notes.csv', 'notes.xml', 'notes.txt', 'NOTES.TXT'])
def test_files_among_the_images_of_class_folders_may_be_annotations(name, tmp_path):
    """So the folder is refused, while a file of another kind is said to be unread."""
    for number, image in enumerate(('cat/a', 'dog/b')):
        write_picture(tmp_path / f'{image}.png', number)
    write(tmp_path / 'cat/notes.log', 'words')
    assert 'not read, because they are no images: cat/notes.log' in str(read_folder(tmp_path).notes)
    write(tmp_path / 'cat' / name, 'words')
    with pytest.raises(UserError, match=name):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [([1e9, -1e9], True), ([1.1e9], False), ([-1.1e9], False), ([1, float('nan'), 2], False)],
)
def test_coordinates_are_finite_and_not_far_outside_of_any_image(values, expected):
    assert are_numbers(values) == expected


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([0.5, 0.5, 0.4, 0.4, 0.5, 0.5, 0], True),  # a keypoint that is not labelled
        ([0.5, 0.5, 0.4, 0.4, 0.5, 0.5, 2], True),
        ([0.5, 0.5, 0.4, 0.4, 0.5, 0.5, 0.3], False),
        ([0.5, 0.5, 0.4, 0.4, 0.9, 0.5, 1], False),  # outside of the box
    ],
)
def test_keypoints_lie_in_their_box_and_are_visible_or_not(values, expected):
    assert have_keypoints(values) == expected


@pytest.mark.parametrize(('centre', 'expected'), [(50, True), (90, False)])
def test_a_pose_is_a_box_in_its_image(centre, expected):
    points = [centre, centre, 40, 40, centre, centre, centre + 5, centre + 5]
    assert may_be_pose(points, (100, 100)) == expected


def test_one_number_is_that_of_objects_if_it_has_one_region_in_half_of_the_maps(tmp_path):
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[4:14, 4:14] = 1
    for number in range(2):
        write_picture(tmp_path / f'images/{number}.png', number)
        write(tmp_path / f'masks/{number}.png', labels)
        labels[24:34, 24:34] = 1
    assert len(read_folder(tmp_path, 'segment').splits['train'].objects) == 2


def test_validation_images_without_maps_are_not_dropped_silently(tmp_path):
    for number, split in enumerate(('train', 'train', 'val')):
        write_picture(tmp_path / f'images/{split}/{number}.png', number)
        if split == 'train':
            labels = np.resize(np.array([0, 1], np.uint8), (SIDE, SIDE))
            write(tmp_path / f'masks/{split}/{number}.png', labels)
    write(tmp_path / 'classes.txt', 'sky\ncat')
    with pytest.raises(UserError, match='No image of val can be used'):
        read_folder(tmp_path, 'semantic')


@pytest.mark.parametrize('line', ['0 1_0 0.5 0.5 0.5', '0_0 0.5 0.5 0.5 0.5'])
def test_a_number_of_yolo_with_an_underscore_is_none(line):
    """Python would read 1_0 as 10."""
    assert parse_line(line, 20) is None
    assert parse_line(line.replace('_', ''), 20) is not None


def test_an_image_that_a_list_of_yolo_names_twice_is_read_once(tmp_path):
    write_yolo(tmp_path, 'train: train.txt\n', ['images/a', 'images/b'])
    write(tmp_path / 'train.txt', 'images/a.png\nimages/b.png\n./images/a.png\n')
    dataset = read_folder(tmp_path)
    assert list_names(dataset) == ['a', 'b']
    assert not dataset.notes


@pytest.mark.parametrize(('dtype', 'is_refused'), [(np.uint8, True), (np.uint16, False)])
def test_255_objects_need_a_map_of_16_bits(dtype, is_refused):
    """In a map of 8 bits, several objects may have one number."""
    labels = np.arange(256).astype(dtype)
    if is_refused:
        with pytest.raises(UserError, match='has 8 bits and uses all 255 numbers'):
            find_numbers(labels, Path('a.png'))
    else:
        assert find_numbers(labels, Path('a.png')).objects == [*range(1, 256)]


@pytest.mark.parametrize(('size', 'is_refused'), [((1, 5), True), ((5, 1), True), ((2, 2), False)])
def test_a_map_has_two_rows_and_columns_or_more(size, is_refused, tmp_path):
    write(tmp_path / 'a.png', np.ones(size, np.uint8))
    if is_refused:
        with pytest.raises(UserError, match='each side must have at least 2 pixels'):
            read_segmentation_map(tmp_path / 'a.png')
    else:
        assert read_segmentation_map(tmp_path / 'a.png').shape == size


def test_xml_files_that_gdal_writes_beside_images_are_left_out(tmp_path):
    for name in ('a.xml', 'b.XML', 'a.png.aux.xml', 'b.PNG.AUX.XML'):
        write(tmp_path / name, 'words')
    assert [str(file) for file in scan_folder(tmp_path).list_files('.xml')] == ['a.xml', 'b.XML']


@pytest.mark.parametrize('name', ['train', 'Train', 'default', 'Default', 'trainval', 'TrainVal'])
def test_names_of_coco_files_for_training_are_those_of_tools_in_any_case(name):
    assert get_file_split(name) == 'train'


@pytest.mark.parametrize(('num_pairs', 'is_refused'), [(8, False), (9, True)])
def test_nine_of_ten_images_with_a_partner_of_their_size_are_no_class(
    num_pairs, is_refused, tmp_path
):
    pairs = []
    for number in range(num_pairs):
        pairs.append((tmp_path / f'photos/{number}.png', tmp_path / f'maps/{number}.png'))
        for path in pairs[-1]:
            write_picture(path, number)
    if is_refused:
        with pytest.raises(UserError, match=r'9 of 10 images in .* have a partner'):
            check_sizes_differ(pairs, 10)
    else:
        check_sizes_differ(pairs, 10)


def test_names_that_end_alike_are_partners_only_with_another_suffix():
    index = NameIndex()
    index.add(Path('photos/img_1.jpg'))
    assert index.find_partner(Path('maps/gt_1.png')) == Path('photos/img_1.jpg')
    assert index.find_partner(Path('dogs/dog_1.jpg')) is None


def test_ids_of_label_studio_that_somebody_has_given_are_no_lines():
    """A list with one of them says nothing."""
    cat, dog = {'id': 0, 'name': 'cat'}, {'id': 1, 'name': 'dog'}
    assert read_label_studio_names({'categories': [cat, dog]}) == {0: 'cat', 1: 'dog'}
    assert read_label_studio_names({'categories': [cat, {**dog, 'id': 'x1'}]}) == {}


def test_a_folder_is_label_studios_if_its_only_json_file_has_tasks(tmp_path):
    write(tmp_path / 'a.json', '[{"from_name": "label"}]')
    assert 'has the tasks of Label Studio' in explain_label_studio(scan_folder(tmp_path))
    write(tmp_path / 'b.json', '[]')
    assert explain_label_studio(scan_folder(tmp_path)) == ''


@pytest.mark.parametrize('has_names', [True, False])
def test_maps_are_of_classes_by_their_layout_only_with_names(has_names, tmp_path):
    """Without names, a map of classes and one of objects look the same."""
    for number, name in enumerate('ab'):
        write_picture(tmp_path / f'train/{name}.png', number)
        write(tmp_path / f'train/{name}_mask.png', np.eye(SIDE, dtype=np.uint8))
    if has_names:
        write(tmp_path / 'train/_classes.csv', '0, sky\n1, cat')
        assert read_folder(tmp_path).format == 'semantic maps'
    else:
        with pytest.raises(UserError, match='do the numbers in its maps stand for classes'):
            read_folder(tmp_path)
