"""What the check of a config's COCO file says at the borders of its rules."""

from pathlib import Path

import pytest
from mmengine.config import Config, ConfigDict

from mmgcvit.datasets.checks.annotation_files import (
    find_full_images,
    list_objects,
    takes_ignored_for_background,
)
from mmgcvit.datasets.coco_content import parse_entries
from mmgcvit.datasets.rules.coco import can_store

from ...coco import make_annotation, make_content, make_image
from .made import check, coco_content, config, write_coco

LIMIT = 3


def list_boxes(images, image_ids):
    """Return the objects of a file, each in the image with this id."""
    annotations = [
        make_annotation(number, image_id, 1, [number, 2, 3, 4])
        for number, image_id in enumerate(image_ids, start=1)
    ]
    content = parse_entries(make_content(images, annotations, {'cat': 1}))
    return list_objects(content, ['cat'], Path())


@pytest.mark.parametrize(
    ('number', 'val_cfg', 'is_found'),
    [(LIMIT, {}, False), (LIMIT + 1, {}, True), (LIMIT + 1, {'side': 256}, False)],
)
def test_an_image_with_more_objects_than_the_model_finds_is_named(number, val_cfg, is_found):
    """In tiles, the limit is that of a tile."""
    listed = list_boxes([make_image(1, 'a.png', 99, 99)], [1] * number)
    model = {'type': 'FasterRCNN', 'test_cfg': {'rcnn': {'max_per_img': LIMIT}}}
    found = find_full_images(listed, Config({'model': model, 'val_cfg': val_cfg}))
    assert [each.example for each in found] == ['a.png has 4, the limit is 3'] * is_found


@pytest.mark.parametrize(
    ('num_wrong', 'num_unlisted', 'stops_run'),
    [(3, 0, False), (0, 3, False), (1, 2, False), (4, 0, True), (0, 4, True), (1, 3, True)],
)
def test_more_than_a_tenth_of_objects_that_are_wrong_or_of_unlisted_images_stop_a_run(
    num_wrong, num_unlisted, stops_run, tmp_path
):
    """Both are counted, of all 30 objects."""
    content = coco_content()
    first = content['annotations'][0]
    content['annotations'] = [{**first, 'id': number} for number in range(1, 31)]
    for annotation in content['annotations'][:num_wrong]:
        annotation['bbox'] = [2, 3, -1, 12]
    for annotation in content['annotations'][num_wrong : num_wrong + num_unlisted]:
        annotation['image_id'] = 99
    report = check(config(write_coco(tmp_path, content)))
    assert bool(report.format_messages()) == stops_run


def test_objects_of_a_repeated_id_are_those_of_its_last_image():
    """As for pycocotools."""
    images = [make_image(1, name, 99, 99) for name in ('a.png', 'b.png')]
    listed = list_boxes(images, [1])
    assert listed.images[listed.image_indices[0]].file_name == 'b.png'


@pytest.mark.parametrize(('width', 'number'), [(99, 1), (0, 0)])
def test_an_id_whose_last_image_has_no_size_has_no_objects(width, number):
    """Not those of the first one: pycocotools does not have it."""
    images = [make_image(1, 'a.png', 99, 99), make_image(1, 'b.png', width, 99)]
    assert len(list_boxes(images, [1]).annotations) == number


@pytest.mark.parametrize(
    ('assigner', 'expected'),
    [({}, True), ({'ignore_iof_thr': 0}, True), ({'ignore_iof_thr': 0.5}, False)],
)
def test_ignored_objects_are_background_without_a_threshold_above_0(assigner, expected):
    model = ConfigDict(train_cfg={'rcnn': {'assigner': {'type': 'MaxIoUAssigner', **assigner}}})
    assert takes_ignored_for_background(model) == expected


@pytest.mark.parametrize(
    ('value', 'of_objects', 'of_images'),
    [
        (1, True, True),
        (0, False, True),
        (-1, False, True),
        ((1 << 53) - 1, True, True),
        (1 << 53, False, False),
        (True, False, True),
        ('a', False, True),
    ],
)
def test_ids_that_pycocotools_can_store(value, of_objects, of_images):
    """It takes an object's 0 for no match, and stores ids of objects as floats."""
    assert can_store(value, is_object=True) == of_objects
    assert can_store(value, is_object=False) == of_images
