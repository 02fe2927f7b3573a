"""What breaks a rule, and what lies just beside it.

Modules: `mmgcvit/datasets/rules`.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.datasets.annotations import Box, LabelledObject, Rle
from mmgcvit.datasets.opening import ImageSizes
from mmgcvit.datasets.rules.objects import (
    DIFFERENT,
    FEW_POINTS,
    NO_AREA,
    NO_MASK,
    OUTSIDE,
    RING,
    find_box_rule,
    find_corner_boxes,
    find_mask_rule,
    find_repeated_objects,
)
from mmgcvit.datasets.rules.rule import Finding
from mmgcvit.errors import UserError, format_count
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.data.object_records import ObjectImage, ObjectSplit
from mmgcvit.own.data.records import ClassImage, ClassSplit, DatasetInfo
from mmgcvit.own.data.rules.classes import find_few_scored, find_missing_classes
from mmgcvit.own.data.rules.copies import (
    CONTRADICTIONS,
    check_training_differs,
    find_contradicting_splits,
    find_copies,
)
from mmgcvit.own.data.rules.images import has_unusable_name
from mmgcvit.own.data.rules.judge import (
    find_empty,
    find_rotated_images,
    find_split,
    report_findings,
)
from mmgcvit.own.data.rules.objects import find_box_masks, find_crowd_masks
from mmgcvit.own.data.rules.origins import (
    CORRECTED_ELSEWHERE,
    PSEUDO_LABELS,
    UNCORRECTED,
    find_uncorrected,
)
from mmgcvit.own.data.rules.parsing import WRONG_OBJECTS, ZERO_BASED

from .formats.made import write

ROOT = Path('/data')


def make_split(*objects, folder=ROOT):
    """Return a split of an image with these objects."""
    return ObjectSplit(folder, [ObjectImage('a.png', (100, 100), objects, id=1)], [])


def make_object(x, y, width, height, **values):
    given = {'class_name': 'cat', 'area': width * height, **values}
    return LabelledObject(1, box=Box(x, y, width, height), **given)


def make_classes(names, split='val'):
    """Return a dataset with an image of each of these classes in a split, and of all in training."""
    splits = {}
    for split_name, own in (('train', ['cat', 'dog', 'cat', 'dog']), (split, names)):
        images = [ClassImage(f'{number}.png', 0, name) for number, name in enumerate(own)]
        splits[split_name] = ClassSplit(ROOT, images)
    return DatasetInfo(ROOT, 'made', ('classes',), ('cat', 'dog'), splits)


@pytest.mark.parametrize(
    ('box', 'rule'),
    [
        # The image has 100 x 300 px: boxes may leave it by 2 px, and by 3 px, 1 % of its height.
        ((-2, 0, 50, 50), None),
        ((-2.1, 0, 50, 50), OUTSIDE),
        ((52, 0, 50, 50), None),
        ((52.1, 0, 50, 50), OUTSIDE),
        ((0, -3, 50, 50), None),
        ((0, -3.1, 50, 50), OUTSIDE),
        ((0, 253, 50, 50), None),
        ((0, 253.1, 50, 50), OUTSIDE),
        # A pixel of it is in the image, or less
        ((-1, 0, 2, 50), None),
        ((-1.1, 0, 2, 50), NO_AREA),
        ((99, 0, 2, 50), None),
        ((99.1, 0, 2, 50), NO_AREA),
        ((0, -1, 50, 2), None),
        ((0, -1.1, 50, 2), NO_AREA),
        ((0, 299, 50, 2), None),
        ((0, 299.1, 50, 2), NO_AREA),
    ],
)
def test_a_box_is_in_its_image_but_for_what_tools_round(box, rule):
    assert find_box_rule(make_object(*box), (100, 300)) == rule


@pytest.mark.parametrize(('area', 'rule'), [(0.1, None), (0, NO_AREA), (-1, NO_AREA)])
def test_an_area_is_above_0(area, rule):
    assert find_box_rule(make_object(10, 10, 20, 30, area=area), (100, 300)) == rule


def outline(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


@pytest.mark.parametrize(
    ('mask', 'area', 'rule'),
    [
        # The box is 10, 100, 60, 120: edges may differ by 5 px, 10 % of its width, and by 3 px.
        ([outline(15, 100, 60, 120)], 900, None),
        ([outline(15.1, 100, 60, 120)], 900, DIFFERENT),
        ([outline(10, 103, 60, 120)], 850, None),
        ([outline(10, 103.1, 60, 120)], 850, DIFFERENT),
        ([outline(10, 100, 65, 120)], 1100, None),
        ([outline(10, 100, 65.1, 120)], 1100, DIFFERENT),
        ([outline(10, 100, 60, 123)], 1150, None),
        ([outline(10, 100, 60, 123.1)], 1150, DIFFERENT),
        # A second polygon of which the area says that it is a hole, or a part. Of one under a
        # hundredth of the outline it says nothing.
        ([outline(10, 100, 60, 120), outline(20, 105, 30, 115)], 900, RING),
        ([outline(10, 100, 60, 120), outline(20, 105, 30, 115)], 1100, None),
        ([outline(10, 100, 60, 120), outline(20, 105, 23, 108)], 991, None),
        ([outline(10, 100, 60, 120), outline(20, 105, 24, 109)], 984, RING),
        (None, 1000, NO_MASK),
        ([[10, 100, 60, 120]], 1000, FEW_POINTS),
        ([[10, 100, 60, 120, 10, 100]], 1000, FEW_POINTS),
        (Rle([300, 100], [3100, 20, 26880]), 20, DIFFERENT),
        (Rle([100, 300], [3100, 20, 26880]), 20, NO_MASK),
        (Rle([300, 100], [3100, 20, 26881]), 20, NO_MASK),
        (Rle([300, 100], [30000]), 20, FEW_POINTS),
        (Rle([300, 100], [3100, *[20, 280] * 49, 20, 12180]), 1000, None),
    ],
)
def test_a_mask_agrees_with_its_box_and_its_area(mask, area, rule):
    each = make_object(10, 100, 50, 20, mask=mask, area=area)
    assert find_mask_rule(each, (100, 300)) == rule


@pytest.mark.parametrize(
    ('flags', 'is_found'),
    [({'is_crowd': True}, True), ({'is_crowd': False}, False), ({'is_ignored': False}, False)],
)
def test_a_crowd_mask_is_ignored_by_iscrowd_and_by_no_other_flag(flags, is_found):
    values = {'is_ignored': True, 'mask': Rle([100, 100], [10000]), **flags}
    split = make_split(make_object(10, 10, 20, 30, **values))
    found = find_crowd_masks({'train': split})['train']
    assert [*found] == [(0, 0)] * is_found


@pytest.mark.parametrize(
    ('of_rotated', 'of_others', 'is_found'), [(1, -3, True), (1, 3, True), (-1, 3, False)]
)
def test_only_images_with_a_rotation_say_whether_boxes_are_those_after_it(
    of_rotated, of_others, is_found, monkeypatch
):
    """A wrong box of another image may be inside if width and height are swapped."""

    def make_image(name, gain):
        place = (10, 90) if gain > 0 else (90, 10)  # inside of 50 x 100 px, or of 100 x 50
        return ObjectImage(name, (100, 50), [make_object(*place, 5, 5)] * abs(gain), id=1)

    sizes = {
        ROOT / 'rotated.jpg': ImageSizes((100, 50), (50, 100)),
        ROOT / 'other.jpg': ImageSizes((100, 50), (100, 50)),
    }
    monkeypatch.setattr('mmgcvit.own.data.rules.judge.read_sizes', sizes.get)
    images = [make_image('rotated.jpg', of_rotated), make_image('other.jpg', of_others)]
    found = find_rotated_images(ObjectSplit(ROOT, images, []))
    assert [*found] == [0] * is_found


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize('pseudo_labels', [False, True])
def test_uncorrected_labels_are_only_for_training(pseudo_labels, split):
    images = [ClassImage('a.png', 0, 'cat', is_uncorrected=True), ClassImage('b.png', 0, 'cat')]
    found = find_uncorrected(ClassSplit(ROOT, images), split, pseudo_labels=pseudo_labels)
    is_kept = pseudo_labels and split == 'train'
    assert {index: finding.rule for index, finding in found.items()} == {
        0: PSEUDO_LABELS if is_kept else UNCORRECTED
    }


@pytest.mark.parametrize('split', ['val', 'test'])
def test_an_image_of_any_other_split_is_left_out_of_training(split):
    images = {'train': 'a.png', split: 'b.png'}
    splits = {name: ClassSplit(ROOT, [ClassImage(own, 0, 'cat')]) for name, own in images.items()}
    contents = {ROOT / own: 'one' for own in images.values()}
    assert [*find_copies(splits, contents, with_masks=False)['train']] == [0]
    with pytest.raises(UserError, match='all training images are also in validation or test'):
        check_training_differs('data', splits, contents)


@pytest.mark.parametrize('is_uncorrected', [False, True])
def test_labels_of_a_model_do_not_contradict_those_of_somebody(is_uncorrected):
    images = [
        ClassImage('a.png', 0, 'cat'),
        ClassImage('b.png', 1, 'dog', is_uncorrected=is_uncorrected),
    ]
    contents = {ROOT / image.name: 'one' for image in images}
    found = find_copies({'train': ClassSplit(ROOT, images)}, contents, with_masks=False)
    (finding,) = found['train'].values()
    assert finding.rule == (CORRECTED_ELSEWHERE if is_uncorrected else CONTRADICTIONS)
    splits = {'train': ClassSplit(ROOT, images[1:]), 'val': ClassSplit(ROOT, images[:1])}
    assert bool(find_contradicting_splits(splits, contents, with_masks=False)) != is_uncorrected


@pytest.mark.parametrize(
    ('name', 'is_unusable'),
    [
        ('a b.png', False),
        ('\u00e9.png', False),
        ('a\tb.png', True),
        ('a\nb.png', True),
        ('a\rb.png', True),
        ('a\udcff.png', True),
    ],
)
def test_a_name_of_a_file_can_be_a_line_of_a_list(name, is_unusable):
    assert has_unusable_name(name) == is_unusable


@pytest.mark.parametrize(('number', 'is_allowed'), [(10, True), (9, False)])
def test_a_tenth_of_the_images_may_be_left_out_and_no_more(number, is_allowed, tmp_path):
    for class_name in ('cat', 'dog'):
        for index in range(number):
            pixels = np.full((9, 9, 3), 20 * index + (class_name == 'cat'), np.uint8)
            write(tmp_path / class_name / f'{class_name}{index}.png', pixels)
        (tmp_path / class_name / f'{class_name}0.png').write_text('no picture')
    if is_allowed:
        assert len(read_folder(tmp_path).splits['train'].images) == 2 * number - 2
    else:
        with pytest.raises(UserError, match='leaves out at most a tenth'):
            read_folder(tmp_path)


@given(num_read=st.integers(0, 60), num_unparsed=st.integers(1, 8))
def test_objects_that_cannot_be_parsed_count_among_those_of_their_split(num_read, num_unparsed):
    """So one of ten may be wrong, and one of nine may not. What is read with a note counts once."""
    objects = [make_object(0, number, 9, 9) for number in range(num_read)]
    broken = [Finding(WRONG_OBJECTS, '/data/train/a.png', split='train')] * num_unparsed
    noted = [Finding(ZERO_BASED, '/data/train/a.xml', split='train')] * 100
    splits = {'train': make_split(*objects), 'val': make_split(make_object(0, 0, 9, 9))}
    findings = [*broken, *noted]
    dataset = DatasetInfo(ROOT, 'made', ('boxes',), ('cat',), splits, findings=findings)
    num_objects = num_read + num_unparsed
    if 10 * num_unparsed > num_objects:
        expected = f'{num_unparsed} of {format_count(num_objects, "object")} in train'
        with pytest.raises(UserError, match=re.escape(expected)):
            report_findings(dataset, findings, None)
    else:
        note = report_findings(dataset, findings, None)[-1]
        expected = f'{format_count(num_unparsed, "problem")} in {num_objects + 1} objects'
        assert note.startswith(expected)


@pytest.mark.parametrize(
    ('numbers', 'words'),
    [
        ({'cat': 10, 'dog': 10}, []),
        ({'cat': 10, 'dog': 9}, ['only 19 images']),
        ({'cat': 20, 'dog': 5}, []),
        ({'cat': 20, 'dog': 4}, ['few images of dog (4 images)']),
    ],
)
def test_a_split_of_20_images_and_5_of_each_class_is_scored_without_a_word(numbers, words):
    names = [name for name, number in numbers.items() for _ in range(number)]
    messages = [finding.message for finding in find_few_scored(make_classes(names))]
    assert len(messages) == len(words)
    assert all(word in message for word, message in zip(words, messages, strict=True))


@pytest.mark.parametrize('split', ['val', 'test'])
def test_test_images_without_annotations_lack_no_class(split):
    train = make_split(make_object(0, 0, 9, 9), make_object(0, 9, 9, 9))
    two = replace(train, images=[*train.images, *train.images])
    splits = {'train': two, split: make_split()}
    dataset = DatasetInfo(ROOT, 'made', ('boxes',), ('cat',), splits)
    found = [finding.message for finding in find_missing_classes(dataset)]
    assert bool(found) == (split == 'val')


@pytest.mark.parametrize(
    ('change', 'is_repeated'),
    [
        ({}, True),
        ({'is_ignored': True}, False),  # a crowd around the object
        ({'class_name': 'dog'}, False),
        ({'box': Box(10.04, 10, 20, 30)}, True),
        ({'box': Box(10.06, 10, 20, 30)}, False),
    ],
)
def test_an_object_is_repeated_if_all_that_is_trained_is_equal(change, is_repeated):
    one = make_object(10, 10, 20, 30)
    found = find_repeated_objects(make_split(one, replace(one, **change)).images, with_masks=False)
    assert [*found] == [(0, 1)] * is_repeated


@pytest.mark.parametrize(
    ('num_corners', 'num_others', 'is_found'), [(2, 1, True), (2, 2, False), (1, 0, True)]
)
def test_boxes_are_corners_if_most_of_them_are(num_corners, num_others, is_found):
    """The area says what they are."""
    corners = [make_object(10, 10 + n, 40, 50 + n, area=30 * 40) for n in range(num_corners)]
    others = [make_object(10, 10, 40 + n, 50) for n in range(num_others)]
    assert bool(find_corner_boxes(make_split(*corners, *others).images, ROOT)) == is_found


def test_a_box_at_the_left_upper_corner_is_the_same_either_way():
    assert not find_corner_boxes(make_split(make_object(0, 0, 40, 50)).images, ROOT)


@pytest.mark.parametrize('has_parts', [False, True])
def test_a_mask_of_several_parts_is_not_that_of_a_box(has_parts):
    square = [10, 10, 30, 10, 30, 40, 10, 40]
    mask = [square, [50, 50, 60, 50, 60, 60]] if has_parts else [square]
    split = make_split(make_object(10, 10, 20, 30, mask=mask))
    assert bool(find_box_masks({'train': split})) != has_parts


def test_a_copy_with_labels_of_somebody_is_read_whatever_its_place():
    images = [
        ClassImage('a.png', 0, 'cat', is_uncorrected=True),
        ClassImage('b.png', 0, 'cat'),
        ClassImage('c.png', 0, 'cat', is_uncorrected=True),
    ]
    contents = {ROOT / image.name: 'one' for image in images}
    found = find_copies({'train': ClassSplit(ROOT, images)}, contents, with_masks=False)
    assert sorted(found['train']) == [0, 2]


@pytest.mark.parametrize(
    ('example', 'split'),
    [
        ('/data/masks/val/a.png', 'val'),
        ('/data/masks/train/val.png', 'train'),
        ('/data/masks/val', ''),
        ('/data/test/a.png', ''),  # there is no such split
    ],
)
def test_a_file_counts_in_the_split_of_its_folder(example, split):
    assert find_split(example, make_classes(['cat'])) == split


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_split_that_has_lost_all_its_objects_is_empty_of_objects(split):
    full = make_split(make_object(0, 0, 9, 9))
    before = {'train': full, 'val': full}
    lacking = find_empty(before, {**before, split: make_split()})
    assert str(lacking) == f'object of {split}'
    assert find_empty({**before, split: make_split()}, {**before, split: make_split()}) is None
