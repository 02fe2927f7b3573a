"""Which names are those of one series, at the borders of the rules."""

import pytest

from mmgcvit.own.data.series import (
    find_neighbours,
    find_pairs,
    find_series,
    is_regular,
    join_class_folders,
    parse_name,
)


@pytest.mark.parametrize(
    ('numbers', 'expected'),
    [
        ([1, 11], True),  # a burst
        ([1, 12], False),
        ([0, 1, 2, 10, 30, 70, 150], True),  # two of six differences are 1
        ([0, 1, 2, 10, 30, 70, 150, 310], False),  # two of seven
    ],
)
def test_numbers_are_those_of_frames_if_many_differences_are_equal(numbers, expected):
    assert is_regular([(number,) for number in numbers]) == expected


@pytest.mark.parametrize(
    ('name', 'is_tile', 'position'),
    [
        ('pic_0_256_512_768', True, (0, 256)),
        ('pic_0_256_512_128', False, (128,)),  # the last two are not the opposite corner
        ('pic_512_0_256_256', False, (256,)),
        ('pic_row1_col2', True, (1, 2)),
        ('cam_20240501_100203', False, (10 * 3600 + 2 * 60 + 3,)),
        ('2024-05-01T10-59-59Z', False, (10 * 3600 + 59 * 60 + 59,)),
    ],
)
def test_the_position_of_a_name_is_its_tile_or_its_time_of_day(name, is_tile, position):
    parsed = parse_name(name)
    assert (parsed.is_tile, parsed.position) == (is_tile, position)


@pytest.mark.parametrize(
    ('starts', 'are_tiles'),
    [
        (['field', 'wood'], True),
        (['field'], False),  # may as well be clips and their frames
        (['field_2023', 'wood_2024'], False),  # a month and a day
    ],
)
def test_two_numbers_are_those_of_tiles_in_several_pictures(starts, are_tiles):
    names = [f'{start}_{row}_{column}' for start in starts for row in (1, 2) for column in (1, 2)]
    assert len(find_pairs(dict(enumerate(names)))) == len(names) * are_tiles


@pytest.mark.parametrize(('length', 'is_named'), [(8, False), (7, True)])
def test_a_long_series_may_be_divided_if_few_frames_are_at_the_borders(length, is_named):
    """A quarter: of two parts inside of it, each has two."""
    members = [((number,), number) for number in range(60)]
    held_out = [8 <= number < 8 + length or 30 <= number < 30 + length for number in range(60)]
    found = find_neighbours(members, held_out, are_frames=True, is_most=True)
    assert len(found) == 4 * is_named


@pytest.mark.parametrize(
    ('names', 'is_joined'),
    [
        (['cat/clip_1', 'dog/clip_2', 'cat/clip_3', 'dog/clip_4'], True),
        (['cat/clip_1', 'dog/clip_1', 'cat/clip_2', 'dog/clip_2'], False),  # each counts its own
        (['cat/clip_1', 'cat/clip_2', 'dog/clip_3', 'dog/clip_4'], False),  # first cats, then dogs
    ],
)
def test_frames_of_a_clip_in_class_folders_have_different_mixed_numbers(names, is_joined):
    """Names of frames lose their folders, so that they are one series."""
    joined = join_class_folders(dict(enumerate(names)))
    assert [*joined.values()] == [name.partition('/')[2] if is_joined else name for name in names]


@pytest.mark.parametrize(
    ('names', 'num_series'),
    [
        (['cam_1_left', 'cam_2_right'], 1),
        (['plate_1_cat', 'plate_1_dog'], 2),
        (['plate_1_cat', 'plate_2_dog', 'plate_2_owl'], 3),
    ],
)
def test_more_words_than_numbers_say_what_is_in_an_image(names, num_series):
    assert len(find_series(dict(enumerate(names)))) == num_series
