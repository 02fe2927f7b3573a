"""Measurements of drawn shapes are the known values: the area within 1 %, axes within 1 px, the
orientation within 1 degree.
"""

import codecs
import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes

from mmgcvit import load
from mmgcvit.errors import UserError
from mmgcvit.own.pictures.measurements import (
    PixelSize,
    measure_objects,
    parse_pixel_size,
    write_objects,
)
from mmgcvit.predict.results import Detections

pytest.importorskip('skimage')

from skimage import data as skimage_data
from skimage.filters import sobel
from skimage.measure import label, regionprops
from skimage.segmentation import watershed

SIZE = HEIGHT, WIDTH = 140, 160
GREY = np.full((*SIZE, 3), 90, np.uint8)


def draw_ellipse(centre, axes, degrees):
    """Return the mask of an ellipse: pixels whose centre lies in it.

    The major axis is ``degrees`` counter-clockwise from the horizontal.
    """
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    x = columns - centre[0]
    y = centre[1] - rows  # upwards
    angle = np.deg2rad(degrees)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    major, minor = axes
    return (2 * along / major) ** 2 + (2 * across / minor) ** 2 <= 1


def detect(*masks, boxes=None):
    """Return detections with these masks or, without them, boxes."""
    number = len(masks) if masks else len(boxes)
    return Detections(
        boxes=np.zeros((number, 4), np.float32) if boxes is None else np.array(boxes, np.float32),
        scores=np.full(number, 0.5, np.float32),
        labels=np.zeros(number, np.int64),
        classes=['cell'],
        masks=np.stack(masks) if masks else None,
    )


@settings(max_examples=30, deadline=None)
@given(
    centre=st.tuples(st.floats(65, 90), st.floats(60, 80)),
    major=st.floats(70, 110),
    ratio=st.floats(0.4, 0.8),
    degrees=st.floats(-89, 89),
)
def test_a_drawn_ellipse_has_its_known_measurements(centre, major, ratio, degrees):
    minor = major * ratio
    mask = draw_ellipse(centre, (major, minor), degrees)
    (found,) = measure_objects('a.png', GREY, detect(mask))
    area = np.pi / 4 * major * minor
    # Its pixels are whole: an upright ellipse was found whose pixels are 1.1 % too few.
    assert found.area == np.count_nonzero(mask) == pytest.approx(area, rel=0.02)
    assert found.lengths['major_axis'] == pytest.approx(major, abs=1)
    assert found.lengths['minor_axis'] == pytest.approx(minor, abs=1)
    assert found.lengths['equivalent_diameter'] == pytest.approx(np.sqrt(major * minor), abs=1)
    difference = (found.orientation - degrees + 90) % 180 - 90
    assert abs(difference) <= 1
    assert -90 < found.orientation <= 90
    assert found.lengths['centre_x'] == pytest.approx(centre[0], abs=0.5)
    assert found.lengths['centre_y'] == pytest.approx(centre[1], abs=0.5)
    # Ramanujan's second approximation
    h = ((1 - ratio) / (1 + ratio)) ** 2
    circumference = np.pi / 2 * (major + minor) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))
    assert found.lengths['perimeter'] == pytest.approx(circumference, rel=0.02)


@pytest.fixture(scope='module')
def coins():
    """Return scikit-image's coins (height, width), and its segmentation by threshold and watershed:
    the mask of each coin. A region of 2 px is not one.
    """
    image = skimage_data.coins()
    markers = np.where(image < 30, 1, np.where(image > 150, 2, 0))
    segmented = watershed(sobel(image), markers) == 2
    labels = label(binary_fill_holes(segmented), connectivity=1)
    regions = [region for region in regionprops(labels) if region.area > 2]
    return image, regions, np.stack([labels == region.label for region in regions])


def test_masks_of_coins_have_the_values_of_regionprops(coins):
    """Which measures each mask in the whole image, not in its box."""
    image, regions, masks = coins
    assert len(regions) == 24
    found = measure_objects('coins.png', np.dstack([image] * 3), detect(*masks))
    for each, region in zip(found, regions, strict=True):
        assert each.area == region.area
        assert each.lengths['perimeter'] == pytest.approx(region.perimeter_crofton)
        assert each.lengths['major_axis'] == pytest.approx(region.axis_major_length)
        assert each.lengths['minor_axis'] == pytest.approx(region.axis_minor_length)
        assert each.lengths['centre_x'] == pytest.approx(region.centroid[1] + 0.5)
        assert each.mean_intensity == pytest.approx(image[labels_of(region)].mean())


def labels_of(region):
    """Return the indices of a region's pixels."""
    return tuple(region.coords.T)


@pytest.mark.slow
def test_the_table_of_coins_in_predict_md(coins):
    """The demo's model finds each coin, and its areas are 3.2 % smaller in the mean."""
    image, regions, masks = coins
    picture = np.dstack([image] * 3)
    prediction = load('configs/demo/mask_rcnn_gcvit_objects.py', device='cpu')(picture)
    found = measure_objects('coins.png', picture, prediction)
    assert len(found) == 24
    differences = []
    for mask, each in zip(prediction.masks, found, strict=True):
        overlaps = (masks & mask).sum((1, 2))
        region = regions[int(overlaps.argmax())]
        differences.append(each.area / region.area - 1)
    assert np.mean(differences) == pytest.approx(-0.032, abs=0.002)
    assert min(differences) == pytest.approx(-0.079, abs=0.01)
    assert max(differences) == pytest.approx(0.001, abs=0.01)


def test_a_rectangle_has_its_box_centre_and_intensity():
    mask = np.zeros(SIZE, bool)
    mask[10:20, 30:70] = True
    image = GREY.copy()
    image[10:20, 50:70] = 110
    (found,) = measure_objects('a.png', image, detect(mask))
    expected = {'left': 30, 'top': 10, 'width': 40, 'height': 10, 'centre_x': 50, 'centre_y': 15}
    assert expected.items() <= found.lengths.items()
    assert (found.area, found.mean_intensity, found.orientation) == (400, 100, 0)
    assert not found.touches_border


def test_the_orientation_of_a_vertical_object_is_90_degrees():
    """Not -90, which is the same line."""
    mask = np.zeros(SIZE, bool)
    mask[10:60, 30:40] = True
    (found,) = measure_objects('a.png', GREY, detect(mask))
    assert found.orientation == 90


@pytest.mark.parametrize(
    ('bgr', 'expected'), [((255, 0, 0), 29), ((0, 255, 0), 150), ((0, 0, 255), 76)]
)
def test_the_intensity_of_a_colour_is_its_luma(bgr, expected):
    """That of BT.601, of images in BGR order."""
    mask = np.zeros(SIZE, bool)
    mask[10:20, 30:70] = True
    image = np.full((*SIZE, 3), bgr, np.uint8)
    (found,) = measure_objects('a.png', image, detect(mask))
    assert found.mean_intensity == expected


@pytest.mark.parametrize(
    ('rows', 'columns', 'touches'),
    [
        ((0, 9), (5, 9), True),
        ((5, 9), (0, 9), True),
        ((130, HEIGHT), (5, 9), True),
        ((5, 9), (150, WIDTH), True),
        ((1, HEIGHT - 1), (1, WIDTH - 1), False),
    ],
)
def test_an_object_at_the_border_is_marked(rows, columns, touches):
    """By its mask or, without one, by its box within a pixel."""
    mask = np.zeros(SIZE, bool)
    mask[slice(*rows), slice(*columns)] = True
    box = [columns[0], rows[0], columns[1], rows[1]]
    for prediction in (detect(mask), detect(boxes=[box])):
        (found,) = measure_objects('a.png', GREY, prediction)
        assert found.touches_border == touches


def read_rows(path):
    return [*csv.DictReader(path.read_text('utf-8-sig').splitlines())]


def test_columns_in_a_unit_are_those_in_pixels_times_the_size_of_a_pixel(tmp_path):
    masks = [draw_ellipse((80, 70), (60, 30), 20), np.zeros(SIZE, bool)]
    found = replace(detect(*masks), classes=['=cell'])
    objects = measure_objects('=a.png', GREY, found)
    path = tmp_path / 'objects.csv'
    write_objects(path, objects, with_masks=True, pixel_size=PixelSize(0.65, 'um'))
    (row,) = read_rows(path)  # an empty mask is not an object
    assert (row['file_name'], row['class'], row['score']) == ("'=a.png", "'=cell", '0.5')
    lengths = [name for name in row if name.endswith('_px')]
    assert len(lengths) == 10
    for name in lengths:
        in_unit = float(row[name.replace('_px', '_um')])
        assert in_unit == pytest.approx(0.65 * float(row[name]), rel=1e-5)
    assert float(row['area_um2']) == pytest.approx(0.65**2 * float(row['area_px2']), rel=1e-5)
    (each,) = objects
    assert row['area_px2'] == f'{each.area:g}'
    assert float(row['orientation_deg']) == pytest.approx(each.orientation, rel=1e-5)
    assert row['mean_intensity'] == '90'
    assert row['touches_border'] == '0'


def test_boxes_have_the_columns_of_boxes(tmp_path):
    objects = measure_objects('a.png', GREY, detect(boxes=[[10, 20, 40, 30]]))
    path = tmp_path / 'objects.csv'
    write_objects(path, objects, with_masks=False, pixel_size=PixelSize(2, 'mm'))
    (row,) = read_rows(path)
    names = ('left', 'top', 'width', 'height', 'centre_x', 'centre_y')
    lengths = [f'{name}_px' for name in names]
    in_unit = [f'{name}_mm' for name in names]
    assert [*row] == ['file_name', 'class', 'score', *lengths, 'touches_border', *in_unit]
    assert (row['width_px'], row['height_mm'], row['centre_x_mm']) == ('30', '20', '50')


def test_without_objects_there_is_a_header(tmp_path):
    path = tmp_path / 'objects.csv'
    write_objects(path, [], with_masks=True, pixel_size=None)
    assert path.read_bytes().startswith(codecs.BOM_UTF8), 'Excel needs it'
    (header,) = path.read_text('utf-8-sig').splitlines()
    assert header.startswith('file_name,class,score,left_px,')
    assert header.endswith(',area_px2,orientation_deg,mean_intensity,touches_border')


@pytest.mark.parametrize(
    ('text', 'size'),
    [
        ('0.65um', PixelSize(0.65, 'um')),
        ('0.65 µm', PixelSize(0.65, 'um')),
        ('2μm', PixelSize(2, 'um')),
        ('.5mm', PixelSize(0.5, 'mm')),
        ('1e-3m', PixelSize(0.001, 'm')),
        ('250nm', PixelSize(250, 'nm')),
    ],
)
def test_a_pixel_size_is_a_length_and_a_unit(text, size):
    assert parse_pixel_size(text) == size


@pytest.mark.parametrize(
    'text', ['', '0.65', 'um', '0um', '-1um', '1 inch', '1um2', '1,5um', '9e999m']
)
def test_other_pixel_sizes_are_rejected(text):
    with pytest.raises(UserError, match='expected a length above 0 and its unit'):
        parse_pixel_size(text)
