"""Arrays only spare the rules for objects those objects that break none: with them, the rules say
exactly what they say when they look at each object.
"""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.datasets.checks.annotation_files import (
    find_corners,
    has_trained_objects,
    judge_objects,
    list_objects,
)
from mmgcvit.datasets.checks.screening import CHUNK, screen
from mmgcvit.datasets.coco_content import parse_entries
from mmgcvit.datasets.rules.objects import (
    find_corner_boxes,
    find_repeated_objects,
    find_wrong_objects,
)

WIDTH, HEIGHT = 40, 30
# Values at which a rule changes its mind, and those that are none of COCO's
NUMBERS = st.one_of(
    st.sampled_from([-3, -2, -0.1, 0, 0.04, 0.05, 0.06, 0.95, 1, 10, 10.25, 28, 30, 31.9, 40, 42]),
    st.floats(-3, 45),
    st.integers(-3, 45),
)
ODD = st.sampled_from(
    [None, True, 'x', '5', [], {}, [1], float('nan'), float('inf'), 1e9, 1.1e9, 10**400, -(10**400)]
)
VALUES = st.one_of(NUMBERS, NUMBERS, NUMBERS, NUMBERS, ODD)
RLE = st.fixed_dictionaries(
    {
        'size': st.sampled_from([[HEIGHT, WIDTH], [WIDTH, HEIGHT]]),
        'counts': st.sampled_from([[600, 100, 500], [1200], [-1, 1201], 'x', '0T1']),
    }
)


@st.composite
def make_object(draw):
    """Return an annotation whose box, area and polygon fit each other, and then change some."""
    x, y = draw(st.integers(0, 20)), draw(st.integers(0, 15))
    width, height = draw(st.integers(1, 15)), draw(st.integers(1, 12))
    right, bottom = x + width, y + height
    polygon = [x, y, right, y, right, bottom, x, bottom]
    entry = {
        'bbox': draw(st.sampled_from([[x, y, width, height], [x, y, right, bottom]])),
        'area': draw(st.sampled_from([width * height, width * height / 2])),
        'segmentation': [polygon],
    }
    change = draw(st.sampled_from(['', '', '', 'bbox', 'area', 'segmentation', 'hole', 'move']))
    if change == 'bbox':
        entry['bbox'] = draw(st.one_of(st.lists(VALUES, min_size=3, max_size=5), ODD))
    elif change == 'area':
        entry['area'] = draw(VALUES)
    elif change == 'segmentation':
        polygons = st.lists(st.one_of(st.lists(VALUES, max_size=9), ODD), max_size=3)
        entry['segmentation'] = draw(st.one_of(polygons, RLE, ODD))
    elif change == 'hole':
        inside = [x, y, x + width / 2, y, x + width / 2, bottom, x, bottom]
        entry['segmentation'] = [polygon, inside]
    elif change == 'move':
        entry['segmentation'] = [[value + draw(NUMBERS) for value in polygon]]
    optional = {'iscrowd': st.sampled_from([0, 1, '0', None]), 'ignore': st.sampled_from([0, 1])}
    return entry | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def make_contents(draw):
    """Return the content of a file whose objects are partly copies of each other."""
    images = [
        {'id': number, 'file_name': f'{number}.jpg', 'width': WIDTH, 'height': HEIGHT}
        for number in range(3)
    ]
    kinds = draw(st.lists(make_object(), min_size=1, max_size=4))
    places = {'image_id': st.integers(0, 3), 'category_id': st.integers(1, 3)}
    annotations = [
        {'id': number, **draw(st.sampled_from(kinds)), **draw(st.fixed_dictionaries(places))}
        for number in range(draw(st.integers(0, 12)))
    ]
    categories = [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}, {'id': 3, 'name': 'cat'}]
    return {'images': images, 'annotations': annotations, 'categories': categories}


@given(make_contents(), st.booleans())
def test_rules_say_of_screened_objects_what_they_say_of_all(content, with_masks):
    listed = list_objects(parse_entries(content), ('cat', 'dog'), Path('images'))
    screened = screen(listed.annotations, listed.sizes)
    judged = judge_objects(listed, screened, with_masks)
    images = listed.select(np.ones(len(listed.annotations), bool))
    wrong = find_wrong_objects(images, with_masks)
    assert judged.findings == [*find_repeated_objects(images, with_masks).values(), *wrong.values()]
    assert judged.num_wrong == len(wrong)
    assert judged.has_trained == has_trained_objects(images, wrong)
    assert find_corners(listed, screened) == find_corner_boxes(images, listed.image_folder)


def test_objects_that_break_no_rule_are_spared_in_each_chunk():
    polygon = [20, 15, 32, 15, 32, 24, 20, 24]
    good = {'bbox': [20, 15, 12, 9], 'area': 108, 'segmentation': [polygon]}
    bad = good | {'bbox': [1, 2, 100, 8]}
    number = 2 * CHUNK + 5
    annotations = [good] * number
    annotations[CHUNK + 7] = bad
    screened = screen(annotations, [(WIDTH, HEIGHT)] * number)
    assert np.flatnonzero(~screened.has_sound_box).tolist() == [CHUNK + 7]
    assert np.flatnonzero(~screened.has_sound_mask).tolist() == [CHUNK + 7]
    assert not screened.may_have_corners.any()
