"""What the simulation of the loop with trainings counts.

Modules: `tests/own/suggestions/trained.py`.
"""

import pytest

from ..judging.conftest import make_detections
from .trained import CATEGORIES, SETS, Loop, Picture, count_corrections, count_labels


@pytest.mark.parametrize(
    ('goal', 'labels'), [(0.5, '40'), (0.4, '30'), (0.65, '50'), (0.81, 'over 60')]
)
def test_labels_of_a_score_are_read_between_the_rounds(goal, labels):
    assert count_labels([0.3, 0.5, 0.8], goal) == labels


def test_each_object_is_right_corrected_or_drawn_and_each_box_that_is_left_is_deleted():
    picture = Picture('a.png', None, [0, 1, 2], [[0, 0, 20, 20], [40, 0, 20, 20], [80, 0, 20, 20]])
    found = make_detections(
        [
            ([0, 0, 20, 19], 0, 0.9),  # right
            ([0, 0, 20, 20], 1, 0.8),  # the same object again, of another class
            ([40, 0, 60, 20], 2, 0.7),  # of another class
            ([40, 40, 60, 60], 1, 0.6),  # on nothing
        ],
        [*CATEGORIES],
    )
    assert count_corrections([found], [picture]) == {
        'objects': 3,
        'need no correction': 1,
        'to correct': 1,
        'to draw': 1,
        'to delete': 2,
    }


@pytest.mark.parametrize('name', SETS)
def test_the_first_pictures_have_each_class_and_no_round_labels_a_picture_twice(name, tmp_path):
    pictures = SETS[name]
    pool = pictures.draw_pictures('train', 150, seed=0)
    loop = Loop(tmp_path, pictures, seed=0, pool=pool, unseen=[])
    first = loop.choose_first()
    labels = [label for index in first for label in pool[index].labels]
    assert len(set(first)) == 20
    assert min(map(labels.count, range(5))) >= 2
    left = loop.rank('chance', 'first', tmp_path, first)
    assert sorted([*first, *left]) == [*range(150)]
