"""What a format takes for something else is written in another way."""

from hypothesis import example, given
from hypothesis import strategies as st

from mmgcvit.datasets.formats.yolo import have_keypoints
from mmgcvit.inference.labels.formats import format_yolo_line

FRACTIONS = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(corners=st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=3, max_size=8))
@example(corners=[(0.5, 0.5), (1.0, 1.0), (0.5, 0.7), (0.0, 0.6), (0.3, 0.0)])
def test_no_polygon_of_yolo_looks_like_a_box_with_keypoints(corners):
    """At the edges of an image, 0 and 1 stand where a pose label has visibilities. The polygon
    stays the same: its last corner may be there twice.
    """
    flat = [value for corner in corners for value in corner]
    label, *values = format_yolo_line(3, flat).split()
    numbers = [*map(float, values)]
    assert label == '3'
    assert not have_keypoints(numbers)
    assert numbers[: len(flat)] == flat
    assert numbers[len(flat) :] in ([], flat[-2:])
