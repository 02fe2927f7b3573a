"""Predictions are written in a format that pycocotools reads, without overwriting earlier results."""

from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmgcvit.commands.options import check_out_dir, create_out_dir
from mmgcvit.errors import UserError
from mmgcvit.files import FILES
from mmgcvit.inference.outputs import Outputs, write_json
from mmgcvit.inference.results import (
    Classification,
    Detections,
    Segmentation,
    list_categories,
    make_records,
)

from .conftest import picture_of

PICTURE = picture_of(10, 12)


@pytest.mark.parametrize(
    'names',
    [
        {'photos/a/1.jpg': 'a/1', 'photos/b/1.jpg': 'b/1', 'photos/b/2.jpg': 'b/2'},
        {'v.avi': 'v.avi', 'v.mp4': 'v.mp4', 'w.mp4': 'w.mp4'},
        {'a.jpg': 'a.jpg', 'a.PNG': 'a.PNG', 'a.png': 'a.png'},
        {'../../a/x.jpg': 'a/x', '../b/x.jpg': 'w/b/x'},
    ],
)
def test_each_input_has_a_unique_output_path(names, tmp_path, monkeypatch):
    here = tmp_path / 'w' / 'main'
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    outputs = Outputs(tmp_path / 'out', list(names))
    for path, name in names.items():
        assert outputs.get_path('vis', path, '.x') == tmp_path / 'out' / 'vis' / f'{name}.x'


def test_pictures_keep_their_format_and_segmentation_maps_of_many_classes_have_16_bits(tmp_path):
    for name, suffix in {'a.JPG': '.JPG', 'b.PNG': '.PNG', 'c.TIF': '.png'}.items():
        path = Outputs(tmp_path / name, [name]).write_picture(name, PICTURE)
        assert path.suffix == suffix
        assert cv2.imread(str(path)).shape == PICTURE.shape
    for labels in ([[0, 255]], [[0, 300]]):
        path = Outputs(tmp_path / 'out', ['1.jpg']).write_label_map(
            '1.jpg', np.array(labels, np.int32)
        )
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tolist() == labels


def test_earlier_results_are_overwritten_only_with_the_option(tmp_path):
    """Other files in the folder are allowed."""
    (tmp_path / 'notes.txt').touch()
    check_out_dir(Namespace(out_dir=tmp_path, overwrite=False), FILES)
    (tmp_path / 'predictions.json').touch()
    for folder, overwrite, words in (
        (tmp_path, False, r'already has results .* add --overwrite to replace them'),
        (Path('/proc/x'), True, r'^--out-dir /proc/x cannot be written .*\. Choose another path$'),
    ):
        with pytest.raises(UserError, match=words):
            check_out_dir(Namespace(out_dir=folder, overwrite=overwrite), FILES)
    check_out_dir(Namespace(out_dir=tmp_path, overwrite=True), FILES)
    (tmp_path / 'vis').mkdir()  # by another command since the check
    with pytest.raises(FileExistsError):
        create_out_dir(Namespace(out_dir=tmp_path, overwrite=False), 'vis', ())


def test_pycocotools_reads_the_written_detections(tmp_path):
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 2:8, 3:9] = masks[1, :, 29] = True
    boxes = np.array([[3, 2, 9, 8], [29, 0, 30, 20]], np.float32)
    found = [boxes, np.array([0.9, 0.5], np.float32), np.array([1, 0]), ['dog', 'cat']]
    categories = list_categories('detection', ['cat', 'dog'])
    assert 'segmentation' not in make_records(Detections(*found), categories)[0]
    records = [
        {'image_id': 7, **record} for record in make_records(Detections(*found, masks), categories)
    ]
    write_json(tmp_path / 'predictions.json', records)
    images = [{'id': 7, 'file_name': 'a.jpg', 'width': 30, 'height': 20}]
    write_json(tmp_path / 'images.json', {'images': images, 'categories': categories})
    truth = COCO(tmp_path / 'images.json')
    read = truth.loadRes(str(tmp_path / 'predictions.json'))
    (dog,) = read.loadAnns(read.getAnnIds(catIds=truth.getCatIds(['dog'])))
    assert (dog['bbox'], dog['category_id']) == ([3, 2, 6, 6], 2)
    np.testing.assert_array_equal(read.annToMask(dog), masks[0])


def test_segmentations_are_written_with_areas_and_convert_to_supervision():
    label_map = np.array([[0, 0, 2], [0, 2, 0]], np.int32)
    segments = Segmentation(label_map, np.array([0, 2]), ['sky', 'sea'], np.array([4, 2]))
    sky, sea = make_records(segments, list_categories('segmentation', ['sky', 'land', 'sea']))
    assert (sky['category_name'], sky['area'], sea['category_id'], sea['area']) == ('sky', 4, 2, 2)
    np.testing.assert_array_equal(coco_mask.decode(sea['segmentation']), label_map == 2)
    assert segments.to_supervision().area.tolist() == [4, 2]


def test_the_five_highest_scoring_classes_of_a_classifier_are_written():
    scores = np.array([0.1, 0.2, 0.05, 0.3, 0.15, 0.12, 0.08], np.float32)
    found = Classification(3, 'd', 0.3, scores)
    records = make_records(found, list_categories('classification', list('abcdefg')))
    assert [record['category_name'] for record in records] == list('dbefa')
    assert records[0] == {'category_id': 3, 'category_name': 'd', 'score': pytest.approx(0.3)}
