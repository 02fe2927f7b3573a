"""Predictions are drawn in one style: a colour for each class, and text that scales with the
picture.
"""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.errors import UserError
from mmgcvit.predict import drawing
from mmgcvit.predict.drawing import MIN_TEXT_SIZE, choose_palette, choose_text_size, draw_prediction
from mmgcvit.predict.predictor import check_drawable
from mmgcvit.predict.results import Classification, Detections, make_segmentation

CLASSES = ['cat', 'dog', 'Ölkännchen']
PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
BOX = np.array([[20, 30, 60, 70]], np.float32)
GREY = np.full((90, 120, 3), 100, np.uint8)


def make_object(label, mask=None):
    return Detections(BOX, np.ones(1), np.array([label]), CLASSES, mask)


def make_region(label):
    label_map = np.full((90, 120), 255, np.int32)
    label_map[30:70, 20:100] = label
    return make_segmentation(label_map, CLASSES)


def make_class(label):
    return Classification(label, CLASSES[label], 0.5, np.ones(3))


@pytest.fixture
def drawn_labels(monkeypatch):
    """Return a list that collects what labels are drawn with. The canvas stays without them."""
    drawn = []
    monkeypatch.setattr(
        drawing, 'draw_labels', lambda canvas, **options: drawn.append(options) or canvas
    )
    return drawn


def find(picture, colour):
    return (picture[..., ::-1] == colour).all(-1)


@pytest.mark.parametrize('make', [make_object, make_region, make_class])
@pytest.mark.parametrize('label', range(3))
def test_a_class_has_one_colour_in_pictures_of_every_task(make, label):
    picture = draw_prediction(GREY, make(label), PALETTE)
    drawn = [find(picture, colour).any() for colour in PALETTE]
    assert [drawn.index(True), drawn.count(True)] == [label, 1]


@pytest.mark.parametrize('make', [make_object, make_region, make_class])
def test_class_names_can_be_left_out(make):
    """What is drawn does not depend on the names then, and the objects and regions stay."""
    drawn = [
        draw_prediction(GREY, make(label), PALETTE[:1] * 3, with_labels=False) for label in (0, 2)
    ]
    assert (drawn[0] == drawn[1]).all()
    assert find(drawn[0], PALETTE[0]).any() == (make is not make_class)


@pytest.mark.parametrize(('num_classes', 'distance'), [(11, 50), (20, 40), (80, 19), (1000, 1)])
def test_classes_have_colours_that_look_different(num_classes, distance):
    """The smallest distance in CIELAB of two of them; a step of 2 is just noticeable."""
    colours = np.array(choose_palette(num_classes), np.float32)
    lab = cv2.cvtColor(colours[None] / 255, cv2.COLOR_RGB2LAB)[0]
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert distances.min() >= distance


def test_the_first_palette_of_matching_length_is_used_otherwise_distinct_colours():
    assert choose_palette(3, [None, PALETTE[:2], 'random', PALETTE, [(0, 0, 0)] * 3]) == PALETTE
    assert len(set(choose_palette(150))) == 150


def test_boxes_masks_and_regions_are_drawn_at_their_positions_on_a_copy():
    mask = np.zeros((1, 90, 120), bool)
    mask[0, 40:60, 30:50] = True
    image = GREY.copy()
    picture = draw_prediction(image, make_object(1, mask), PALETTE)
    assert find(picture, PALETTE[1])[35:71, 20].all()
    assert np.abs(picture[50, 40].astype(int) - (50, 177, 50)).max() <= 1  # half of either
    assert (picture[75:, 80:] == 100).all()
    segments = draw_prediction(image, make_region(2), PALETTE)
    assert (segments[:29] == 100).all()
    assert np.abs(segments[65, 95].astype(int) - (177, 50, 50)).max() <= 1
    assert (image == 100).all()


@pytest.mark.parametrize(
    ('name', 'place', 'is_painted'),
    [
        ('background', 0, False),
        ('class 0', 0, False),
        ('Wall', 0, True),
        ('background', 1, False),
        ('_BackGround_', 1, False),
        ('void', 0, False),
        ('void', 1, True),
    ],
)
def test_the_background_class_of_a_segmentation_is_not_painted(name, place, is_painted):
    """It is known by its name at any place; names that may be classes only at the first one."""
    label_map = np.full((90, 120), place, np.int32)
    label_map[30:, 60:] = 1 - place
    classes = ['cat', 'cat']
    classes[place] = name
    picture = draw_prediction(GREY, make_segmentation(label_map, classes), PALETTE)
    assert (picture[:, :58] == 100).all() != is_painted


@pytest.mark.parametrize('count', [2, 25, 26])
def test_objects_of_a_single_class_have_a_colour_each_and_many_have_no_labels(count):
    boxes = np.array([[40 * i, 60, 40 * i + 30, 90] for i in range(count)])
    objects = Detections(boxes, np.ones(count), np.zeros(count, int), CLASSES[2:])
    picture = draw_prediction(np.full((120, 1100, 3), 100, np.uint8), objects, PALETTE[:1])
    assert len(np.unique(picture[70], axis=0)) > count
    above = picture[:58, 40 * (count - 1) :]  # the last box, which a legend does not reach
    assert (above != 100).any() == (count < 26)


@given(sides=st.tuples(st.integers(1, 9000), st.integers(1, 9000)), max_size=st.floats(0, 300))
def test_text_scales_with_the_picture_and_is_never_too_small_to_read(sides, max_size):
    """Whether it is upright or not. A given size is the largest, if it is readable."""
    canvas = np.broadcast_to(np.uint8(0), (*sides, 3))
    size = choose_text_size(canvas)
    assert size >= MIN_TEXT_SIZE
    assert size == choose_text_size(canvas.transpose(1, 0, 2))
    larger = np.broadcast_to(np.uint8(0), (2 * sides[0], 2 * sides[1], 3))
    if size > MIN_TEXT_SIZE:
        assert abs(choose_text_size(larger) - 2 * size) <= 1
    assert choose_text_size(np.broadcast_to(np.uint8(0), (1080, 1920, 3))) == 30
    limited = choose_text_size(canvas, max_size)
    assert limited in (size, MIN_TEXT_SIZE) or abs(limited - max_size) <= 0.5
    assert limited <= max(size, MIN_TEXT_SIZE)


@pytest.mark.parametrize(('heights', 'largest'), [((90, 90, 300), 30), ((90, 300, 300), 40)])
def test_text_is_at_most_a_third_of_the_median_height_of_the_boxes(heights, largest, drawn_labels):
    """In a picture whose own text size is 40 px."""
    boxes = np.array([[9, 9, 99, 9 + height] for height in heights], np.float32)
    objects = Detections(boxes, np.ones(3), np.arange(3), CLASSES)
    draw_prediction(np.zeros((1920, 1920, 3), np.uint8), objects, PALETTE)
    assert drawn_labels[0]['size'] == largest


@pytest.mark.parametrize(
    ('prediction', 'palette', 'with_scores', 'texts'),
    [
        (make_object(1), PALETTE, True, ['dog 1.00']),
        (make_object(1), PALETTE, False, ['dog']),
        (make_object(0), PALETTE[:1], True, ['1.00']),  # the name on each object would hide others
        (make_object(0), PALETTE[:1], False, ['cat']),
        (make_class(2), PALETTE, True, ['Ölkännchen 0.50']),
        (make_class(2), PALETTE, False, ['Ölkännchen']),
        (make_region(1), PALETTE, True, ['dog']),
        (make_region(1), PALETTE, False, ['dog']),
    ],
)
def test_predictions_have_scores_and_ground_truth_has_none(
    prediction, palette, with_scores, texts, drawn_labels
):
    draw_prediction(GREY, prediction, palette, with_scores=with_scores)
    assert [options['texts'] for options in drawn_labels] == [texts]


@pytest.mark.parametrize(('side', 'has_label'), [(3, False), (4, True)])
def test_classes_of_less_than_a_thousandth_of_the_image_have_no_label(
    side, has_label, drawn_labels
):
    """Their pixels are painted: 9 and 16 of 10,800."""
    label_map = np.zeros((90, 120), np.int32)
    label_map[10 : 10 + side, 20 : 20 + side] = 1
    picture = draw_prediction(GREY, make_segmentation(label_map, CLASSES), PALETTE)
    assert drawn_labels[0]['texts'] == ['cat', 'dog'][: 1 + has_label]
    assert find(picture, PALETTE[1]).any()


@pytest.mark.parametrize('scale', [0.5, 2, 3])
@pytest.mark.parametrize('make', [make_object, make_region])
def test_a_scaled_picture_has_its_labels_and_lines_at_the_scaled_places(make, scale, drawn_labels):
    pictures = [draw_prediction(GREY, make(1), PALETTE, scale=each) for each in (1, scale)]
    points, scaled = (options['points'] for options in drawn_labels)
    np.testing.assert_allclose(scaled, scale * np.array(points))
    assert pictures[1].shape == (90 * scale, 120 * scale, 3)
    places = []
    for picture, each in zip(pictures, (1, scale), strict=True):
        rows, columns = ((picture != 100).any(-1)).nonzero()
        places.append(np.array([rows.min(), columns.min(), rows.max(), columns.max()]) / each)
    assert np.abs(places[1] - places[0]).max() <= 2


def test_a_box_beyond_the_picture_is_drawn_along_its_edges():
    objects = replace(make_object(1), boxes=np.array([[-20, 30, 200, 99]], np.float32))
    found = find(draw_prediction(GREY, objects, PALETTE, with_labels=False), PALETTE[1])
    assert found[30:, [0, -1]].all()
    assert found[[30, -1]].all()


@pytest.mark.parametrize('labels', [(0, 1), (1, 0)])
def test_the_highest_scoring_box_is_on_top(labels):
    """Objects are by descending score. Where two boxes are at one place, the first is seen."""
    objects = Detections(
        boxes=np.repeat(BOX, 2, axis=0),
        scores=np.array([0.9, 0.4], np.float32),
        labels=np.array(labels),
        classes=CLASSES,
    )
    picture = draw_prediction(GREY, objects, PALETTE, with_labels=False)
    upper, lower = (PALETTE[label] for label in labels)
    assert find(picture, upper)[30:71, 20].all()
    assert not find(picture, lower).any()


@pytest.mark.parametrize('areas', [(400, 100), (100, 400)])
def test_a_mask_hides_no_smaller_one(areas):
    """Whatever their scores."""
    masks = np.zeros((2, 90, 120), bool)
    for mask, area in zip(masks, areas, strict=True):
        side = int(area**0.5)
        mask[40 : 40 + side, 30 : 30 + side] = True
    objects = Detections(
        boxes=np.repeat(BOX, 2, axis=0),
        scores=np.array([0.9, 0.4], np.float32),
        labels=np.arange(2),
        classes=CLASSES,
        masks=masks,
    )
    picture = draw_prediction(GREY, objects, PALETTE, with_labels=False)
    colour = PALETTE[areas.index(100)]
    seen = picture[45, 35, ::-1].astype(int)
    assert np.abs(seen - (np.array(colour) + 100) / 2).max() <= 1
    assert not (picture[55, 45] == picture[45, 35]).all()


@pytest.mark.parametrize('colour', itertools.product(range(0, 256, 85), repeat=3))
def test_text_is_black_on_bright_colours_and_white_on_dark_ones(colour):
    """By the luma of BT.601, as OpenCV computes it."""
    luma = cv2.cvtColor(np.uint8([[colour]]), cv2.COLOR_RGB2GRAY).item()
    text, other = ((255,) * 3, (0,) * 3) if luma <= 127 else ((0,) * 3, (255,) * 3)
    picture = draw_prediction(GREY, make_class(0), [colour] * 3)
    found = picture[find(picture, colour).any(1)]
    assert (found == text).all(-1).any()
    assert colour == other or not (found == other).all(-1).any()


@pytest.mark.parametrize('place', ['top', 'bottom'])
def test_many_objects_have_a_legend_of_their_classes_where_fewer_of_them_are(place):
    """A picture without labels has none."""
    top = 10 if place == 'bottom' else 250
    boxes = np.array([[20 * i, top, 20 * i + 15, top + 40] for i in range(30)], np.float32)
    objects = Detections(boxes, np.ones(30), np.arange(30) % 2, CLASSES)
    image = np.full((300, 640, 3), 100, np.uint8)
    picture = draw_prediction(image, objects, PALETTE)
    plain = draw_prediction(image, objects, PALETTE, with_labels=False)
    drawn = (picture != plain).any(-1)
    rows = np.flatnonzero(drawn.any(1))
    assert len(rows)
    assert (rows.max() < 150) == (place == 'top')
    colours = {tuple(colour) for colour in picture[drawn][:, ::-1].tolist()}
    assert {PALETTE[0], PALETTE[1]} <= colours
    assert PALETTE[2] not in colours


def test_objects_elsewhere_do_not_move_a_legend_which_is_at_the_left(drawn_labels):
    """Six of 30 objects are at the left, at the bottom: the legend is at the top."""
    lefts = [10] * 6 + [500] * 24
    tops = [250] * 6 + [10] * 24
    boxes = np.array([[x, y, x + 15, y + 40] for x, y in zip(lefts, tops, strict=True)], np.float32)
    objects = Detections(boxes, np.ones(30), np.arange(30) % 2, CLASSES)
    draw_prediction(np.full((300, 640, 3), 100, np.uint8), objects, PALETTE)
    (options,) = drawn_labels
    assert (options['points'][:, 0] == 0).all()
    assert (options['points'][:, 1] < 150).all()


def test_a_legend_of_many_classes_takes_at_most_half_of_the_picture():
    boxes = np.array([[6 * i, 120, 6 * i + 5, 130] for i in range(100)], np.float32)
    classes = [f'class {index}' for index in range(100)]
    objects = Detections(boxes, np.ones(100), np.arange(100), classes)
    picture = draw_prediction(np.full((240, 640, 3), 100, np.uint8), objects, choose_palette(100))
    assert (picture[135:] == 100).all()


@pytest.mark.parametrize('height', [40, 150, 240, 600, 3000])
def test_a_legend_counts_the_objects_of_its_classes_and_the_classes_that_it_leaves_out(
    height, drawn_labels
):
    """The most frequent first, in at most half of the height."""
    num_classes = 20
    labels = np.repeat(np.arange(num_classes), 1 + np.arange(num_classes) % 7)
    boxes = np.tile(BOX / 10, (len(labels), 1))
    classes = [f'class {index}' for index in range(num_classes)]
    objects = Detections(boxes, np.ones(len(labels)), labels, classes)
    draw_prediction(np.zeros((height, 200, 3), np.uint8), objects, choose_palette(num_classes))
    (options,) = drawn_labels
    rows = [text.split(' ', 1) for text in options['texts']]
    named = [(int(number), name) for number, name in rows if number != 'and']
    assert [number for number, _ in named] == sorted((n for n, _ in named), reverse=True)
    for number, name in named:
        assert number == 1 + classes.index(name) % 7
    left_out = [int(rest.split()[0]) for number, rest in rows if number == 'and']
    assert len(named) + sum(left_out) == num_classes
    fits = 2 * options['size'] * len(rows) <= height / 2
    assert fits or len(rows) == 1
    assert len(left_out) == (len(named) < num_classes)


@pytest.mark.parametrize(
    ('prediction', 'words'),
    [
        ([{'bbox': [0, 0, 9, 9]}], 'cannot draw list. Expected what the model returns'),
        (make_object(3), 'cannot draw a prediction of class 3: the model has 3 classes'),
        (make_class(2), None),
        (make_object(0, np.ones((1, 45, 60), bool)), r'(45, 60) on one of (90, 120)'),
        (make_segmentation(np.zeros((9, 9), np.int32), CLASSES), r'(9, 9) on one of (90, 120)'),
        (make_object(2, np.ones((1, 90, 120), bool)), None),
        (make_region(1), None),
    ],
)
def test_what_cannot_be_drawn_is_refused(prediction, words):
    if words is None:
        check_drawable(prediction, GREY, num_classes=3)
        return
    with pytest.raises(UserError) as raised:
        check_drawable(prediction, GREY, num_classes=3)
    assert words in str(raised.value)
