"""Labels of classes with any names are read back as they were written, or refused before a picture
is written.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmgcvit.datasets.coco_categories import list_coco_categories, make_coco_categories
from mmgcvit.errors import UserError
from mmgcvit.own.data.formats.finding import read_folder
from mmgcvit.own.labels.folder import LABEL_WRITERS, LabelFolder
from mmgcvit.predict.results import Classification, Detections, make_segmentation

from .models import NamedModel

HEIGHT, WIDTH = 60, 80
# Those that files, folders, XML, YAML, CSV and spreadsheets may read as something else
ODD = '/\\\'"`,;:#=+-@&<>{}[]()|*?!%~.$ \n\r\t0a\u2028\xa0\uffffé\ud800'
FORMATS = [(task, name) for task, formats in LABEL_WRITERS.items() for name in formats]
# labelme and Label Studio import other formats than they export, so these are not read.
READ = [each for each in FORMATS if each[1] not in ('labelme', 'label-studio')]


def predict_each(task, classes):
    """Return predictions in which each of three classes occurs: one, or of a classifier three."""
    scores = np.eye(3, dtype=np.float32)
    if task == 'classification':
        return [Classification(i, classes[i], 1.0, scores[i]) for i in range(3)]
    if task == 'segmentation':
        label_map = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3
        return [make_segmentation(label_map, classes)]
    boxes = np.array([[2, 3, 30, 40], [5, 6, 41, 57], [1, 1, 70, 50]], np.float32)
    return [Detections(boxes, scores[0], np.arange(3), classes)]


@pytest.mark.parametrize(('task', 'name'), READ)
@given(classes=st.lists(st.text(ODD, min_size=1, max_size=6), min_size=3, max_size=3))
@example(classes=['0 cat', '1 dog', '2 owl'])
@example(classes=['__ignore__', 'b', 'c'])
@example(classes=['no', '1', '~'])
@example(classes=['#', '=1+1', '"'])
@example(classes=['a,b', "d'e", 'c"'])
@example(classes=['a/b', '..', 'c'])
@settings(max_examples=15, deadline=None)
def test_classes_of_any_name_are_read_back_or_refused(task, name, classes):
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, 'labels')
        label_format = name if task == 'detection' else None
        refusal = ''
        try:
            labels = LabelFolder(NamedModel(task, classes), folder, label_format)
        except UserError as error:
            refusal = str(error)
        if refusal:
            assert refusal.startswith('--labels: ')
            assert not folder.exists()
            return
        for index, prediction in enumerate(predict_each(task, classes)):
            photo = Path(temporary, f'{index}.png')
            pixels = np.random.default_rng(index).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            cv2.imwrite(str(photo), pixels)
            labels.add(str(photo), (WIDTH, HEIGHT), prediction)
        labels.finish()
        option = 'semantic' if task == 'segmentation' else None
        dataset = read_folder(folder, option, pseudo_labels=True)
    assert {*dataset.classes} == {*classes}
    assert {each for names in dataset.splits['train'].list_classes() for each in names} == {
        *classes
    }


@pytest.mark.parametrize('name', ['coco', 'yolo', 'voc'])
def test_cocos_80_classes_have_cocos_ids_in_the_data_of_all_formats_and_in_predictions(
    name, tmp_path
):
    """Also in those of a COCO folder that counts from 1 to 80, and in VOC's, which are sorted."""
    coco = list_coco_categories()
    classes = [each['name'] for each in coco]
    corners = np.array([[5 * (i % 16), 10 * (i // 16)] for i in range(80)], np.float32)
    found = Detections(
        boxes=np.hstack([corners, corners + 4]),
        scores=np.ones(80, np.float32),
        labels=np.arange(80),
        classes=classes,
    )
    labels = LabelFolder(NamedModel('detection', classes), tmp_path / 'labels', name)
    for stem in 'ab':
        cv2.imwrite(str(tmp_path / f'{stem}.png'), np.full((60, 80, 3), ord(stem), np.uint8))
        labels.add(str(tmp_path / f'{stem}.png'), (80, 60), found)
    labels.finish()
    if name == 'coco':
        file = tmp_path / 'labels/annotations/instances_train.json'
        content = json.loads(file.read_text())
        numbers = {each['id']: index for index, each in enumerate(content['categories'], start=1)}
        for each in content['categories']:
            each['id'] = numbers[each['id']]
        for each in content['annotations']:
            each['category_id'] = numbers[each['category_id']]
        file.write_text(json.dumps(content))
    split = read_folder(tmp_path / 'labels', pseudo_labels=True).splits['train']
    ids = {each.name: each.id for each in split.categories}
    assert ids == {each['name']: each['id'] for each in coco}
    records = found.make_records(make_coco_categories(classes))
    assert [each['category_id'] for each in records] == [each['id'] for each in coco]
