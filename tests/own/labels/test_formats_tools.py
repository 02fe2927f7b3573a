"""Labels that are written are read by the tools that they are for: the same pictures, classes, boxes
within a pixel, and masks with an IoU of 0.98, also of pictures with other names or an EXIF rotation.

datumaro (which CVAT imports with), label-studio-sdk and labelme are in no environment of this
project: ``pip install datumaro label-studio-sdk labelme`` into one runs their tests too.

Modules: `mmgcvit/own/labels/formats.py`.
"""

import json
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
import supervision as sv
import yaml
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmgcvit.own.data.formats.finding import read_folder
from mmgcvit.own.labels.folder import LabelFolder
from mmgcvit.own.labels.objects import make_objects

from ...predict.conftest import picture_of
from .examples import (
    ANCHOR,
    DETECTOR,
    HEIGHT,
    SIZE,
    WIDTH,
    WITH_RING,
    assert_equal_objects,
    write_folder,
)

PREDICTIONS = pytest.mark.parametrize('prediction', [ANCHOR, WITH_RING], ids=['boxes', 'masks'])
TURN_RIGHT = 6  # the EXIF orientation of pixels that are shown turned by 90 degrees
# Files, the last of which is shown turned
NAMES = {'plain': 'a.png', 'umlauts and blanks': 'Möwe am Fluß 1.png', 'rotated': 'a.jpg'}


@pytest.fixture(params=NAMES)
def picture(request, tmp_path):
    """Write a picture that is shown with WIDTH x HEIGHT pixels, and return its path."""
    path = tmp_path / 'photos' / NAMES[request.param]
    path.parent.mkdir()
    image = Image.fromarray(picture_of(HEIGHT, WIDTH))
    if request.param == 'rotated':
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = TURN_RIGHT
        image.rotate(90, expand=True).save(path, exif=exif, quality=95)
    else:
        image.save(path)
    return path


def write_labels(folder, picture, prediction, label_format):
    labels = LabelFolder(DETECTOR, folder, label_format)
    labels.add(str(picture), SIZE, prediction)
    labels.finish()


def list_expected(prediction):
    """Return (class, box, mask) of the objects of a prediction."""
    return [
        (found.class_name, [*each.box.edges], found.mask)
        for found, each in zip(prediction, make_objects(prediction, SIZE), strict=True)
    ]


def fill(polygons):
    """Return the mask of an object's polygons [x1, y1, x2, y2, ...], as COCO's API fills them."""
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH))
    return coco_mask.decode(merged).astype(bool)


def measure_polygons(polygons):
    """Return the box [left, top, right, bottom] of an object's polygons."""
    corners = np.concatenate([np.reshape(each, (-1, 2)) for each in polygons])
    return [*corners.min(0).tolist(), *corners.max(0).tolist()]


@PREDICTIONS
def test_pycocotools_reads_the_same_objects(prediction, picture, tmp_path):
    folder = tmp_path / 'labels'
    write_labels(folder, picture, prediction, 'coco')
    coco = COCO(folder / 'annotations/instances_train.json')
    (image,) = coco.dataset['images']
    assert (image['file_name'], image['width'], image['height']) == (picture.name, WIDTH, HEIGHT)
    found = []
    for each in coco.loadAnns(coco.getAnnIds()):
        left, top, width, height = each['bbox']
        mask = coco.annToMask(each).astype(bool) if each['segmentation'] else None
        name = coco.cats[each['category_id']]['name']
        found.append((name, [left, top, left + width, top + height], mask))
    assert_equal_objects(found, list_expected(prediction), prediction.masks is not None)


@pytest.mark.parametrize('label_format', ['coco', 'voc'])
@PREDICTIONS
def test_datumaro_reads_the_same_objects(label_format, prediction, picture, tmp_path):
    """It is what CVAT imports with. It makes an object of each polygon, in one group."""
    datumaro = pytest.importorskip('datumaro')
    folder = tmp_path / 'labels'
    write_labels(folder, picture, prediction, label_format)
    dataset = datumaro.Dataset.import_from(
        str(folder), {'coco': 'coco_instances', 'voc': 'voc_detection'}[label_format]
    )
    names = [label.name for label in dataset.categories()[datumaro.AnnotationType.label].items]
    (item,) = dataset
    assert item.id == picture.stem
    assert tuple(item.media.size) == (HEIGHT, WIDTH)
    groups = {}
    boxes = []
    for each in item.annotations:
        if each.type == datumaro.AnnotationType.polygon:
            groups.setdefault((each.group, names[each.label]), []).append(each.points)
        elif each.type == datumaro.AnnotationType.bbox:
            left, top, width, height = each.get_bbox()
            # It reads VOC's corners, which count from 1, as if from 0: a pixel too far.
            boxes.append((names[each.label], [left, top, left + width, top + height], None))
    with_masks = prediction.masks is not None and label_format == 'coco'
    found = boxes
    if with_masks:
        found = [
            (name, measure_polygons(polygons), fill(polygons))
            for (_, name), polygons in groups.items()
        ]
    assert_equal_objects(found, list_expected(prediction), with_masks)


@PREDICTIONS
def test_labelme_reads_the_same_objects(prediction, picture, tmp_path):
    """It refuses files whose size is not the one that it shows. Its own masks also have the pixels
    right of and below the edge.
    """
    label_file = pytest.importorskip('labelme._label_file')
    shape = pytest.importorskip('labelme.utils.shape')
    folder = tmp_path / 'labels'
    write_labels(folder, picture, prediction, 'labelme')
    content = label_file.LabelFile(str(folder / 'images' / f'{picture.stem}.json'))
    assert content.image_path == picture.name
    found = []
    for each in content.shapes:
        points = np.array(each['points'])
        mask = fill([points.ravel().tolist()]) if each['shape_type'] == 'polygon' else None
        found.append((each['label'], measure_polygons([points]), mask))
        if mask is not None:
            own = shape.shape_to_mask((HEIGHT, WIDTH), each['points'], each['shape_type'])
            edge = np.array([[0, 0, 0], [0, 1, 1], [0, 1, 1]], np.uint8)[::-1, ::-1].copy()
            # The seam to the second part is a pixel wide, too.
            assert np.count_nonzero(own & (cv2.dilate(mask.astype(np.uint8), edge) == 0)) < 30
            assert (own >= mask).all()
    assert_equal_objects(found, list_expected(prediction), prediction.masks is not None)


@PREDICTIONS
@pytest.mark.parametrize('export', ['COCO', 'YOLO'])
def test_label_studio_exports_the_same_objects(
    export, prediction, picture, tmp_path, monkeypatch, request
):
    """Its converter makes a folder of the tasks, as if somebody had submitted their predictions, and
    this project reads it. Its COCO of a picture with an EXIF rotation is wrong, as
    docs/labelling.md says.
    """
    if export == 'COCO' and picture.suffix == '.jpg':
        reason = 'label-studio-sdk 2.1 multiplies percentages by the size before the rotation'
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    converter = pytest.importorskip('label_studio_sdk.converter')
    tools = pytest.importorskip('label_studio_sdk._extensions.label_studio_tools.core.utils.io')
    folder = tmp_path / 'labels'
    write_labels(folder, picture, prediction, 'label-studio')
    (task,) = json.loads((folder / 'tasks.json').read_text())
    (predicted,) = task.pop('predictions')
    annotation = {'id': 1, 'completed_by': 1, 'result': predicted['result']}
    # A server downloads the URL. Without one, the converter reads the path in it as it stands.
    task = {'id': 1, 'annotations': [annotation], 'data': {'image': unquote(task['data']['image'])}}
    monkeypatch.setattr(tools, 'LOCAL_FILES_DOCUMENT_ROOT', str(tmp_path))
    (tmp_path / 'tasks.json').write_text(json.dumps([task]))
    exported = tmp_path / 'exported'
    made = converter.Converter((folder / 'labeling_interface.xml').read_text(), str(tmp_path))
    made.convert(str(tmp_path / 'tasks.json'), str(exported), f'{export}_WITH_IMAGES', is_dir=False)
    if export == 'YOLO':  # read_folder asks for it
        names = (exported / 'classes.txt').read_text().splitlines()
        settings = {'train': 'images', 'names': names}
        (exported / 'data.yaml').write_text(yaml.safe_dump(settings))
    split = read_folder(exported, 'detect' if prediction.masks is None else 'segment').splits[
        'train'
    ]
    (image,) = split.images
    found = [
        (each.class_name, [*each.box.edges], fill(each.mask) if each.mask else None)
        for each in image.objects
    ]
    assert_equal_objects(found, list_expected(prediction), prediction.masks is not None)


@pytest.mark.parametrize('label_format', ['coco', 'yolo', 'labelme'])
def test_supervision_reads_the_same_objects(label_format, tmp_path):
    """It fills polygons with the pixels on their edge, so a mask is larger by up to one pixel."""
    folder = tmp_path / 'labels'
    write_folder(folder, [WITH_RING, WITH_RING], label_format)
    if label_format == 'coco':
        dataset = sv.DetectionDataset.from_coco(
            str(folder / 'images/train'),
            str(folder / 'annotations/instances_train.json'),
            force_masks=True,
        )
    elif label_format == 'yolo':
        dataset = sv.DetectionDataset.from_yolo(
            *(str(folder / name) for name in ('images/train', 'labels/train', 'data.yaml')),
            force_masks=True,
        )
    else:
        images = str(folder / 'images')
        dataset = sv.DetectionDataset.from_labelme(images, images, force_masks=True)
    assert len(dataset) == 2
    thick = cv2.dilate(WITH_RING.masks.transpose(1, 2, 0).astype(np.uint8), np.ones((3, 3)))
    for _, _, found in dataset:
        names = [dataset.classes[label] for label in found.class_id]
        assert names == WITH_RING.class_names
        for index, mask in enumerate(found.mask):
            assert np.all(mask >= WITH_RING.masks[index])
            # The seam to the second part is one pixel wide, too.
            assert np.count_nonzero(mask & (thick[..., index] == 0)) < 30


def test_supervision_reads_pascal_voc(tmp_path):
    folder = tmp_path / 'labels'
    write_folder(folder, [ANCHOR], 'voc')
    dataset = sv.DetectionDataset.from_pascal_voc(
        str(folder / 'JPEGImages'), str(folder / 'Annotations')
    )
    ((_, _, found),) = dataset
    np.testing.assert_array_equal(found.xyxy, ANCHOR.boxes)
    assert [dataset.classes[label] for label in found.class_id] == ANCHOR.class_names


def test_coco_has_exact_masks_their_areas_and_scores(tmp_path):
    folder = tmp_path / 'labels'
    write_folder(folder, [WITH_RING])
    coco = COCO(folder / 'annotations/instances_train.json')
    for annotation, mask in zip(coco.loadAnns(coco.getAnnIds()), WITH_RING.masks, strict=True):
        assert np.array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation['area'] == np.count_nonzero(mask)
        assert annotation['score'] in (0.9, 0.5)


def test_label_studio_gets_tasks_with_predictions_in_percent(tmp_path):
    """https://labelstud.io/guide/predictions, https://labelstud.io/tags/polygonlabels"""
    folder = tmp_path / 'my labels'
    write_folder(folder, [ANCHOR, ANCHOR], 'label-studio')
    tasks = json.loads((folder / 'tasks.json').read_text())
    assert [task['data'] for task in tasks] == [
        {'image': '/data/local-files/?d=my%20labels/images/a.png'},
        {'image': '/data/local-files/?d=my%20labels/images/b.png'},
    ]
    first = tasks[0]['predictions'][0]['result'][0]
    assert first.pop('id') == '1-1'
    assert first == {
        'from_name': 'label',
        'to_name': 'image',
        'type': 'rectanglelabels',
        'original_width': WIDTH,
        'original_height': HEIGHT,
        'image_rotation': 0,
        'score': 0.9,
        'value': {
            'x': 2.5,
            'y': 5.0,
            'width': 35.0,
            'height': 61.666667,
            'rotation': 0,
            'rectanglelabels': ['cat'],
        },
    }
    interface = (folder / 'labeling_interface.xml').read_text()
    assert '<RectangleLabels name="label" toName="image">' in interface
    assert '<Label value="Hund &amp; Katz" />' in interface


def test_label_studio_gets_masks_as_polygons(tmp_path):
    """Closed ones, in percent of the sides, with the tag that shows them."""
    folder = tmp_path / 'labels'
    write_folder(folder, [WITH_RING], 'label-studio')
    (task,) = json.loads((folder / 'tasks.json').read_text())
    results = task['predictions'][0]['result']
    assert [each['type'] for each in results] == ['polygonlabels'] * 2
    for each, mask in zip(results, WITH_RING.masks, strict=True):
        value = each['value']
        assert value['closed']
        points = np.array(value['points']) / 100 * SIZE
        assert np.array_equal(fill([points.ravel().tolist()]), mask)
    interface = (folder / 'labeling_interface.xml').read_text()
    assert '<PolygonLabels name="label" toName="image">' in interface
    assert 'RectangleLabels' not in interface


@pytest.mark.parametrize('prediction', [ANCHOR, WITH_RING], ids=['boxes', 'masks'])
def test_label_studios_sdk_accepts_the_predictions(prediction, tmp_path):
    interface = pytest.importorskip('label_studio_sdk.label_interface')
    folder = tmp_path / 'labels'
    write_folder(folder, [prediction], 'label-studio')
    config = interface.LabelInterface((folder / 'labeling_interface.xml').read_text())
    for task in json.loads((folder / 'tasks.json').read_text()):
        for each in task['predictions']:
            assert config.validate_prediction(each, return_errors=True) == []


@pytest.mark.parametrize('prediction', [ANCHOR, WITH_RING], ids=['boxes', 'masks'])
def test_yolo_lines_are_as_ultralytics_documents_them(prediction, tmp_path):
    """https://docs.ultralytics.com/datasets/detect and /segment: a file beside each picture's name,
    with a line for each object: the class, counted from 0, and the box [centre x, centre y, width,
    height] or at least three corners, in fractions of the picture; names in data.yaml.
    """
    folder = tmp_path / 'labels'
    write_folder(folder, [prediction], 'yolo')
    settings = yaml.safe_load((folder / 'data.yaml').read_text())
    (picture,) = (folder / settings['train']).iterdir()
    lines = (folder / 'labels/train' / f'{picture.stem}.txt').read_text().splitlines()
    assert len(lines) == len(prediction)
    for index, line in enumerate(lines):
        label, *numbers = line.split(' ')
        values = np.array(numbers, float)
        assert settings['names'][int(label)] == prediction.class_names[index]
        assert (values >= 0).all()
        assert (values <= 1).all()
        if prediction.masks is None:
            centre, extent = values.reshape(2, 2) * SIZE
            box = [*(centre - extent / 2), *(centre + extent / 2)]
            np.testing.assert_allclose(box, prediction.boxes[index], atol=0.01)
        else:
            assert len(values) >= 6
            corners = (values.reshape(-1, 2) * SIZE * 16).round().astype(np.int32) - 8
            canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.fillPoly(canvas, [corners], 1, shift=4)
            # OpenCV also fills the pixels on the edge.
            thick = cv2.dilate(prediction.masks[index].astype(np.uint8), np.ones((3, 3)))
            assert (canvas >= prediction.masks[index]).all()
            assert np.count_nonzero(canvas & (thick == 0)) < 30, 'a seam is one pixel wide'
