"""Classes are the folders that a user means, and each class is on both sides of a hold-out."""

from collections import Counter
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmgcvit.datasets.annotations import Box
from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.data.label_maps import PixelLabels
from mmgcvit.own.data.origins import mark_images
from mmgcvit.own.data.reading import AnnotatedImage, ReadObject, make_splits
from mmgcvit.own.data.records import ClassImage, ClassSplit, DatasetInfo, MapImage, MapSplit
from mmgcvit.own.data.rules.classes import find_missing_classes
from mmgcvit.own.data.rules.copies import (
    DIVIDED_COPIES,
    DIVIDED_FRAMES,
    DIVIDED_TILES,
    find_divided_series,
)
from mmgcvit.own.data.rules.findings import format_findings
from mmgcvit.own.training.hold_out import describe_held_out, group_images, split_validation

from ..data.formats.made import CLASSES, write

NAMES = ('bird', 'cat', 'dog', 'fish')


def spell(number):
    """Return a name without digits, which is of no series."""
    return ''.join(chr(ord('a') + int(digit)) for digit in f'{number:03}')


def make_dataset(annotation_type, images, folder):
    """Return a dataset of images, whose classes are known."""
    root = Path(folder)
    if annotation_type == 'boxes':
        annotated = []
        for name, found in images.items():
            # Classes that an image lacks are there as crowds.
            objects = [
                ReadObject(each, Box(0, 0, 9, 9), 81, is_ignored=each not in found)
                for each in NAMES
            ]
            annotated.append(AnnotatedImage(root / name, (9, 9), objects))
        splits = make_splits(root, NAMES, {'train': annotated})
    elif annotation_type == 'seg_maps':
        listed = [
            MapImage(each, 'map.png', frozenset(names), PixelLabels({}))
            for each, names in images.items()
        ]
        splits = {'train': MapSplit(root, listed)}
    else:
        listed = [
            ClassImage(
                str(Path(each).with_name(*names) / Path(each).name), NAMES.index(*names), *names
            )
            for each, names in images.items()
        ]
        splits = {'train': ClassSplit(root, listed)}
    return DatasetInfo(root, '', (annotation_type,), NAMES, splits)


def hold_out(annotation_type, images, folder='/data'):
    """Return the names of the held-out images, and the notes about missing classes."""
    dataset = split_validation(make_dataset(annotation_type, images, folder))
    train, val = ({*dataset.splits[split].image_names} for split in ('train', 'val'))
    if annotation_type == 'classes':  # without the class folder
        train, val = (
            {str(Path(each).parent.parent / Path(each).name) for each in part}
            for part in (train, val)
        )
    assert (train | val, train & val) == ({*images}, set())
    return val, '\n'.join(format_findings(find_missing_classes(dataset)))


@settings(max_examples=120)
@given(
    st.sampled_from(['boxes', 'seg_maps', 'classes']),
    st.lists(st.sampled_from([0, 0, 1, 2, 3, 12]), min_size=len(NAMES), max_size=len(NAMES)),
    st.lists(
        st.tuples(st.sets(st.sampled_from(NAMES), min_size=1), st.sampled_from([1, 1, 3])),
        max_size=8,
    ),
    st.sampled_from(['', 'train/', 'a.rf.b/']),
    st.randoms(),
)
def test_each_class_of_two_images_is_in_both_splits(
    annotation_type, alone, others, folder, shuffler
):
    """Copies stay together, neither the order nor the place of files matters, and what a split
    lacks is said.

    ``alone`` is the number of images that have only this class, ``others`` has the classes and
    copies of other images.
    """
    photos = []
    for name, count in zip(NAMES, alone, strict=True):
        photos += count * [({name}, 1)]
    for found, copies in others:
        photos.append(({min(found)} if annotation_type == 'classes' else found, copies))
    images = {
        f'{folder}{spell(number)}.rf.{copy}.jpg': found
        for number, (found, copies) in enumerate(photos)
        for copy in range(copies)
    }
    number_of = {spell(number): number for number in range(len(photos))}
    totals = Counter(name for found, _ in photos for name in found)
    if all(min(totals[name] for name in found) < 2 for found, _ in photos):
        with pytest.raises(UserError, match='no images to hold out'):
            hold_out(annotation_type, images or {'a.jpg': {'cat'}})
        return
    val, notes = hold_out(annotation_type, images)
    shuffled = dict(shuffler.sample([*images.items()], len(images)))
    assert hold_out(annotation_type, shuffled, '/else/where')[0] == val
    numbers = Counter(number_of[Path(name).name.partition('.')[0]] for name in val)
    assert all(copies == photos[number][1] for number, copies in numbers.items())
    counts = Counter(name for number in numbers for name in photos[number][0])
    images_of_each = Counter(name for found in images.values() for name in found)
    assert ('only one image has' in notes) == (1 in images_of_each.values())
    held_out = Counter(name for each in val for name in images[each])
    for name, own in zip(NAMES, alone, strict=True):
        if own > 1:
            assert 1 <= counts[name] < totals[name]
            if annotation_type == 'classes':
                assert held_out[name] >= images_of_each[name] // 10
        if own == totals[name] == 1:
            assert not counts[name], 'the only image of a class is for training'
        assert (name in notes) == (counts[name] in (0, totals[name]))


def test_new_images_change_few_of_those_held_out():
    first, more = (
        hold_out('classes', {f'{spell(i)}.jpg': {NAMES[i % 2]} for i in range(count)})[0]
        for count in (40, 44)
    )
    assert (len(first), len(first - more) <= 3) == (8, True)


@pytest.mark.parametrize('annotation_type', ['boxes', 'seg_maps', 'classes'])
@pytest.mark.parametrize(
    ('name', 'num_videos'),
    [
        ('{0}_{1:04}.jpg', 5),
        ('v_{1:03}_jpg.rf.{2}.jpg', 1),
        ('{0} at {1}.250s.png', 1),
        ('{1}.jpg', 1),
        ('{0}_{1:04}_{2}_cam.jpg', 6),
        ('{0} ({1}).jpg', 5),
        ('{0}_000000_{1:06}_leftImg8bit.png', 6),
        ('{0}/{3}-frame_{1:04}.jpg', 5),
        ('{3}-{0}_{1}_jpg.rf.{2}.jpg', 6),
        ('2023010{0}-{1}.jpg', 6),
        ('IMG_2023{0}_BURST{1}.jpg', 6),
        ('{0}_2024-05-01T10-{1:02}-03Z.jpg', 6),
        ('{0} {1:02}Z.jpg', 6),
        ('{0} ({1}) copy.jpg', 6),
        ('{0} ({1}) - Copy (2).jpg', 6),
    ],
)
def test_frames_of_a_video_stay_together_and_one_video_is_cut_once(
    annotation_type, name, num_videos
):
    """Only a video that is most of the data is divided, into parts of neighbouring frames."""
    images, numbers = {}, {}
    for video in range(num_videos):
        for frame in range(20):
            label = video if '2023010' in name else f'clip{video}'
            prefix = sha256(bytes([video, frame])).hexdigest()[:8]
            # Of an image, there may be two copies.
            other = NAMES[0] if annotation_type == 'classes' else NAMES[(video + frame // 10) % 2]
            for each in {name.format(label, frame, copy, prefix) for copy in 'ab'}:
                images[each] = {NAMES[0], other}
                numbers[each] = video, frame
    val, _ = hold_out(annotation_type, images)
    assert 0.1 * len(images) < len(val) < 0.5 * len(images)
    held_out = {numbers[each] for each in val}
    trained = {numbers[each] for each in images if each not in val}
    assert not held_out & trained
    borders = {(v, f) for v, f in held_out if {(v, f - 1), (v, f + 1)} & trained}
    assert len(borders) <= (0 if num_videos > 1 else len(held_out) // 2)


TILE_NAMES = (
    '{picture}_{x}_{y}_{right}_{bottom}',
    '{picture}_{row}_{column}',
    '{picture}_{x}_{y}',
    '{picture}_{row}-{column}',
    '{picture}_row{row}_col{column}',
    '{picture}-r{row}-c{column}',
    '{picture}_x{x}_y{y}',
)


def list_tiles(pattern):
    """Return the names of 3 x 3 tiles by their picture, of ten pictures."""
    pictures = {}
    for picture in [f'field{number}' for number in range(5)] + [f'{n:04}' for n in range(5)]:
        pictures[picture] = []
        for row, column in np.ndindex(3, 3):
            x, y = 256 * column, 256 * row
            name = pattern.format(
                picture=picture, row=row, column=column, x=x, y=y, right=x + 256, bottom=y + 256
            )
            pictures[picture].append(f'{name}.png')
    return pictures


@pytest.mark.parametrize('annotation_type', ['boxes', 'seg_maps', 'classes'])
@pytest.mark.parametrize('pattern', TILE_NAMES)
def test_tiles_of_a_picture_stay_together(annotation_type, pattern):
    """The classes of tiles may be mixed: then tiles are in several class folders."""
    pictures = list_tiles(pattern)
    images = {
        name: {NAMES[number % 2]}
        for names in pictures.values()
        for number, name in enumerate(names)
    }
    val, _ = hold_out(annotation_type, images)
    assert len(val) == 18
    for names in pictures.values():
        assert val.issuperset(names) or val.isdisjoint(names)


def test_pictures_that_are_classes_of_two_numbers_can_be_held_out():
    """cat_1_3 and dog_2_7 may be sessions and frames: each class stays on both sides."""
    images = {
        f'{name}_{session}_{frame}.jpg': {name}
        for name in NAMES
        for session in range(6)
        for frame in range(5)
    }
    val, _ = hold_out('boxes', images)
    assert {name.partition('_')[0] for name in val} == {*NAMES}
    assert 0.1 * len(images) <= len(val) <= 0.3 * len(images)


@pytest.mark.parametrize('is_mixed', [True, False])
def test_frames_of_a_clip_in_two_class_folders_stay_together(is_mixed):
    """Folders that count their own images have no clip in common."""
    images = {
        f'clip{clip}_{frame:03}.jpg': {NAMES[frame % 2 if is_mixed else frame // 10]}
        for clip in range(10)
        for frame in range(20)
    }
    val, _ = hold_out('classes', images)
    clips = {name.partition('_')[0] for name in val}
    assert len(val) == 20 * len(clips)
    assert 1 <= len(clips) <= 3
    counted_alone = {
        f'{name}/{number:03}.jpg': {name} for name in NAMES[:2] for number in range(40)
    }
    dataset = split_validation(make_dataset('classes', counted_alone, '/data'))
    assert dataset.splits['val'].count_classes() == dict.fromkeys(NAMES[:2], 8)


def name_splits(annotation_type, trained, **held_out):
    """Return the rules that given splits of images with these names break, and the notes."""
    splits = {}
    for split, names in {'train': trained, **held_out}.items():
        images = {f'{split}/{name}': {NAMES[0]} for name in names}
        splits[split] = make_dataset(annotation_type, images, '/data').splits['train']
    return [(each.rule, each.message) for each in find_divided_series(splits)]


def divide(names, is_held_out):
    kept = {True: [], False: []}
    for number, name in enumerate(names):
        kept[is_held_out(number)].append(name)
    return kept[False], kept[True]


@pytest.mark.parametrize(
    ('rule', 'names'),
    [
        (DIVIDED_FRAMES, [f'clip_{frame:03}.jpg' for frame in range(24)]),
        (DIVIDED_FRAMES, [f'{frame}Z.jpg' for frame in range(24)]),
        (DIVIDED_FRAMES, [f'2024-05-01T10-{frame:02}-03Z.jpg' for frame in range(24)]),
        (DIVIDED_FRAMES, [f'img ({frame}) copy.jpg' for frame in range(24)]),
        (DIVIDED_COPIES, [f'{spell(i // 4)}_jpg.rf.{i}ab.jpg' for i in range(24)]),
        *[
            (DIVIDED_TILES, list(chain.from_iterable(list_tiles(name).values())))
            for name in TILE_NAMES
        ],
    ],
)
@pytest.mark.parametrize('annotation_type', ['boxes', 'seg_maps', 'classes'])
def test_given_splits_that_divide_a_series_are_named_once(annotation_type, rule, names):
    """Every fourth image is in validation."""
    trained, held_out = divide(names, lambda number: number % 4 == 3)
    ((found, message),) = name_splits(annotation_type, trained, val=held_out)
    assert found is rule
    assert f': {len(held_out)} of {len(held_out)} in val, for example /data/val/' in message
    assert 'as /data/train/' in message
    # Cameras number single photos too.
    assert ('If they are frames of a video' in message) == (rule is DIVIDED_FRAMES)


@pytest.mark.parametrize('divided', [['val'], ['test'], ['val', 'test']])
def test_each_split_that_divides_a_series_is_named(divided):
    """Also test, with a validation split that divides none and without one."""
    video = [f'clip_{frame:03}.jpg' for frame in range(24)]
    held_out = {'val': [f'{spell(number)}.jpg' for number in range(6)]}
    for number, split in enumerate(divided):
        held_out[split] = video[number::4]
    trained = video[2::4] + video[3::4]
    found = name_splits('boxes', trained, **held_out)
    assert [rule for rule, _ in found] == [DIVIDED_FRAMES] * len(divided)
    for split, (_, message) in zip(divided, found, strict=True):
        assert f': 6 of 6 in {split}, for example /data/{split}/' in message
    if divided == ['test']:
        del held_out['val']
        assert name_splits('boxes', trained, **held_out) == found


@pytest.mark.parametrize(
    'names',
    [
        [f'{spell(number)}.jpg' for number in range(24)],
        [f'{number * number:06}.jpg' for number in range(24)],  # as COCO's, which are no frames
    ],
)
def test_given_splits_of_single_photos_are_not_named(names):
    trained, held_out = divide(names, lambda number: number % 4 == 3)
    assert not name_splits('boxes', trained, val=held_out)


def test_given_splits_may_cut_one_video_and_count_their_images_alone():
    video = [f'clip_{frame:03}.jpg' for frame in range(40)]
    assert not name_splits('boxes', video[:32], val=video[32:])
    assert not name_splits('boxes', video, val=video[:8])
    tiles = list(chain.from_iterable(list_tiles(TILE_NAMES[1]).values()))
    assert not name_splits('boxes', tiles[:45] + tiles[54:], val=tiles[45:54])


def test_many_words_behind_a_number_tell_images_apart():
    images = {f'site{i % 2}_{"abcdefghijklmnopqrst"[i // 2]}.jpg': {'cat'} for i in range(40)}
    assert len(hold_out('boxes', images)[0]) == 8


@example([41, 4, 4, 41, 43], 4)
@example([36, 13, 54, 50], 0)
@given(st.lists(st.integers(2, 60), max_size=6), st.integers(0, 60))
def test_a_fifth_of_the_images_is_held_out_where_series_allow_it(series, num_photos):
    """Not under a tenth. A series of up to two fifths stays together, also if smaller ones, under a
    tenth, are held out before it: then it is more than a fifth, but under a half.
    """
    names = [f'{"abcdef"[i]}_{n}.jpg' for i, length in enumerate(series) for n in range(length)]
    names += [f'{spell(photo)}.jpg' for photo in range(num_photos)]
    sizes = [length for length in series if length <= 0.4 * len(names)]
    small = len(names) - sum(length for length in sizes if length > 0.2 * len(names))
    # The part of a series that is divided may be one more than a fifth of it.
    possible = any(0.1 * len(names) <= length <= 0.3 * len(names) for length in sizes)
    if len(names) >= 20 and (possible or small >= 0.1 * len(names)):
        val, _ = hold_out('boxes', {name: {'cat'} for name in names})
        assert 0.1 * len(names) <= len(val) < 0.5 * len(names)


@pytest.mark.parametrize('annotation_type', ['boxes', 'seg_maps', 'classes'])
@pytest.mark.parametrize(
    ('series', 'num_photos', 'num_held_out', 'is_explained'),
    [([], 40, 8, False), ([30, 30, 30], 0, 30, True), ([28, 28, 28, 10], 0, 10, True)],
    ids=['a fifth', 'more', 'less'],
)
def test_the_note_says_why_more_or_less_than_a_fifth_is_held_out(
    series, num_photos, num_held_out, is_explained, annotation_type
):
    names = [f'{"abcdef"[i]}_{n}.jpg' for i, length in enumerate(series) for n in range(length)]
    names += [f'{spell(photo)}.jpg' for photo in range(num_photos)]
    dataset = make_dataset(annotation_type, {name: {'cat'} for name in names}, '/data')
    (note,) = split_validation(dataset).notes
    assert note.startswith(f'no val split: {num_held_out} of {len(names)} images are held out')
    assert ('not a fifth, because series stay together' in note) == is_explained


@pytest.mark.parametrize('annotation_type', ['boxes', 'seg_maps', 'classes'])
def test_frames_with_uncorrected_labels_beside_held_out_ones_are_not_trained(annotation_type):
    """They look like those of validation. A model has made the labels of every second frame."""
    images = {f'clip{clip}_{frame}.jpg': {'cat'} for clip in range(10) for frame in range(4)}
    dataset = make_dataset(annotation_type, images, '/data')
    train = mark_images(dataset.splits['train'], range(1, 40, 2))
    divided = split_validation(replace(dataset, splits={'train': train}))
    clips = {}
    for split_name, split in divided.splits.items():
        clips[split_name] = {Path(name).stem.partition('_')[0] for name in split.image_names}
    assert clips['train'].isdisjoint(clips['val'])
    num_held_out = len(divided.splits['val'].images)
    assert divided.splits['val'].num_uncorrected == 0
    assert len(divided.splits['train'].images) == 40 - 2 * num_held_out
    notes = '\n'.join(divided.notes)
    assert f'{num_held_out} of 20 images are held out' in notes
    assert f'{num_held_out} images with uncorrected labels are left out of training' in notes


@pytest.mark.parametrize(('num_frames', 'largest'), [(40, 40), (41, 9)])
def test_a_series_is_divided_if_it_is_over_two_fifths_of_the_images(num_frames, largest):
    names = [f'clip_{frame}' for frame in range(num_frames)]
    names += [spell(photo) for photo in range(100 - num_frames)]
    assert max(map(len, group_images(dict(enumerate(names))))) == largest


def test_held_out_images_are_mixed():
    """Their names may be in the order of days or places."""
    names = [f'{spell(number)}.jpg' for number in range(40)]
    val, _ = hold_out('boxes', {name: {'cat'} for name in names})
    places = sorted(map(names.index, val))
    assert len(places) == 8
    assert places[0] < 10
    assert places[-1] >= 30


@pytest.mark.parametrize(
    ('number', 'is_explained'), [(14, True), (15, False), (20, False), (25, False), (26, True)]
)
def test_another_fraction_than_about_a_fifth_is_explained(number, is_explained):
    (note,) = describe_held_out(number, num_images=100, num_beside=0)
    assert ('not a fifth, because' in note) == is_explained


def test_the_smallest_series_with_a_class_is_held_out_first():
    """The example of the module: videos of 60, 25, 10 and 5 frames."""
    lengths = {'a': 60, 'b': 25, 'c': 10, 'd': 5}
    names = [f'{video}_{frame}.jpg' for video, length in lengths.items() for frame in range(length)]
    val, _ = hold_out('boxes', {name: {'cat'} for name in names})
    assert {f'd_{frame}.jpg' for frame in range(5)} <= val
    assert not any(name.startswith('b') for name in val)
    assert 20 <= len(val) < 32


def test_rare_classes_are_held_out_before_common_ones():
    """After the groups d and c for birds and cats, the last birds would be those of a, and so no fish
    could be held out: b has the only dog.
    """
    images = {
        f'{stem}.rf.{copy}.jpg': found
        for stem, found, copies in [
            ('a', {'bird', 'fish'}, 3),
            ('b', {'fish', 'dog'}, 1),
            ('c', {'bird', 'cat'}, 2),
            ('d', {'bird'}, 1),
            ('e', {'cat'}, 3),
        ]
        for copy in range(copies)
    }
    val, _ = hold_out('boxes', images)
    assert {'bird', 'cat', 'fish'} == set().union(*(images[name] for name in val))


# What predict (also killed), mistakes and a training write.
OUTPUTS = (
    'found/images.json',
    'found/predictions.json',
    'found/vis/a/0.png',
    'found/labels/0.png',
    'predictions3/vis/cat/0.png',
    'mistakes/mistakes.json',
    'mistakes/confusion.png',
    'mistakes/worst/001_a.png',
    'run/20260102_030405/vis_data/scalars.json',
    'run/val_images/iter_2.png',
    'run/made/train.json',
)


def write_images(folder, files):
    for number, file in enumerate(files):
        pixels = np.full((4, 4, 3), (number, 0, 0), np.uint8)
        write(folder / file, '{}' if file.endswith('.json') else pixels)


@pytest.mark.parametrize('splits', [('.',), ('train', 'val')])
def test_classes_are_the_folders_that_users_mean(splits, tmp_path):
    """Their names may be those of folders of other formats. What commands wrote is left out."""
    names = [*CLASSES[::4], 'predictions', 'work_dirs', 'worst', 'vis', 'made']
    names += ['images', 'mask', 'no_mask', 'label']
    write_images(tmp_path, [f'{s}/{name}/{i}.png' for s in splits for name in names for i in 'abc'])
    expected = {'train' if split == '.' else split: 3 * len(names) for split in splits}
    for has_outputs in (False, True):
        dataset = read_folder(tmp_path, 'classify')
        assert dataset.classes == tuple(sorted(names))
        assert {split: len(part.image_names) for split, part in dataset.splits.items()} == expected
        assert ('commands of mmgcvit wrote them' in '\n'.join(dataset.notes)) == has_outputs
        write_images(tmp_path / splits[0] / min(names), OUTPUTS)


@pytest.mark.parametrize('tree', ['{0}/images', 'session{1}/{0}', 'fold{1}/cam{1}/{0}'])
def test_folders_above_or_below_those_of_classes_are_rejected(tree, tmp_path):
    write_images(
        tmp_path, [f'{tree.format(name, i)}/{i}.png' for name in CLASSES[:3] for i in (1, 2)]
    )
    with pytest.raises(UserError, match='below the folders of classes'):
        read_folder(tmp_path)
