"""Labels that are written are read back: the same classes, boxes within a pixel, and masks with an
IoU of 0.98. What the rules for data would leave out isn't written.
"""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
import supervision as sv
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmgcvit.commands.predict import LABEL_FORMATS
from mmgcvit.datasets.decoding import DecodingSettings, load_image
from mmgcvit.datasets.formats.finding import read_folder
from mmgcvit.errors import UserError
from mmgcvit.inference.labels.folder import LabelFolder, check_new_folder, check_pictures
from mmgcvit.inference.labels.formats import OBJECT_WRITERS
from mmgcvit.inference.labels.objects import make_objects
from mmgcvit.inference.labels.polygons import compute_iou
from mmgcvit.inference.results import Classification, Detections, make_segmentation
from mmgcvit.thresholds import ScoreThresholds

from ..conftest import picture_of
from .models import NamedModel

DETECTOR = NamedModel('detection')
SIZE = WIDTH, HEIGHT = 80, 60
# The formats that check-data reads
READ_FORMATS = ('coco', 'yolo', 'voc')


def make_detections(boxes, labels, masks=None, classes=DETECTOR.classes):
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=scores,
        labels=np.array(labels, np.int64),
        classes=classes,
        masks=masks,
    )


@st.composite
def draw_boxes(draw):
    """Return boxes, some of which leave the image or are under a pixel, with their classes."""
    quarter = st.integers(-40, 4 * WIDTH + 40).map(lambda number: number / 4)
    side = st.integers(0, 160).map(lambda number: number / 4)
    objects = draw(
        st.lists(
            st.tuples(quarter, quarter, side, side, st.integers(0, 2)),
            min_size=1,
            max_size=5,
            unique_by=lambda each: each[:2],
        )
    )
    boxes = [[x, y, x + width, y + height] for x, y, width, height, _ in objects]
    return make_detections(boxes, [each[-1] for each in objects])


@st.composite
def draw_masks(draw):
    """Return objects with masks that have holes and several parts, or are small or empty."""
    position = st.tuples(st.integers(0, WIDTH), st.integers(0, HEIGHT))
    axes = st.tuples(st.integers(0, 30), st.integers(0, 30))
    ellipses = st.lists(
        st.tuples(position, axes, st.integers(0, 179), st.booleans()), min_size=1, max_size=3
    )
    objects = draw(st.lists(st.tuples(ellipses, st.integers(0, 2)), min_size=1, max_size=4))
    masks = np.zeros((len(objects), HEIGHT, WIDTH), bool)
    for index, (drawn, _) in enumerate(objects):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for centre, half_axes, angle, is_drawn in drawn:
            cv2.ellipse(mask, centre, half_axes, angle, 0, 360, int(is_drawn), -1)
        masks[index] = mask
    boxes = np.zeros((len(objects), 4))  # those of the network, which are not the masks'
    return make_detections(boxes, [label for _, label in objects], masks)


def expect_objects(prediction):
    """Return (class, box, mask) of what is to be read: what is a pixel wide, and there once."""
    expected = []
    seen = set()
    for found in prediction:
        if found.mask is None:
            left, top, right, bottom = np.clip(found.box, 0, [*SIZE, *SIZE]).tolist()
        else:
            rows, columns = np.nonzero(found.mask)
            if not len(rows):
                continue
            left, top = int(columns.min()), int(rows.min())
            right, bottom = int(columns.max()) + 1, int(rows.max()) + 1
        key = found.class_name, left, top, right, bottom
        if found.mask is not None:
            key = *key, found.mask.tobytes()
        if right - left >= 1 and bottom - top >= 1 and key not in seen:
            expected.append((found.class_name, [left, top, right, bottom], found.mask))
            seen.add(key)
    return expected


def write_folder(folder, predictions, label_format=None, model=DETECTOR):
    """Write predictions of pictures a, b, ... into a folder."""
    labels = LabelFolder(model, folder, label_format)
    for index, prediction in enumerate(predictions):
        picture = folder.parent / 'photos' / f'{chr(ord("a") + index)}.png'
        picture.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(picture), picture_of(HEIGHT, WIDTH, seed=index))
        labels.add(str(picture), SIZE, prediction)
    labels.finish()
    return labels


# Beside the generated one, so that the folder has all classes and an object in any case
ANCHOR = make_detections([[2, 3, 30, 40], [5, 6, 41, 57], [1, 1, 70, 50]], [0, 1, 2])


def add_masks(prediction):
    """Return the boxes of the anchor with full masks."""
    masks = np.zeros((len(prediction), HEIGHT, WIDTH), bool)
    for mask, (left, top, right, bottom) in zip(masks, prediction.boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = True
        mask[top + 2 : top + 4, left + 2 : left + 5] = False
    return make_detections(prediction.boxes, prediction.labels, masks)


def read_back(folder, task='segment'):
    """Return (class, box, mask) of the objects of the first picture, and all classes."""
    dataset = read_folder(folder, task, pseudo_labels=True)
    split = dataset.splits['train']
    assert [Path(name).name for name in split.image_names] == ['a.png', 'b.png']
    objects = []
    for each in split.images[0].objects:
        mask = None
        if each.mask:
            encoded = coco_mask.merge(coco_mask.frPyObjects(each.mask, HEIGHT, WIDTH))
            mask = coco_mask.decode(encoded).astype(bool)
        objects.append((each.class_name, [*each.box.edges], mask))
    return dataset, objects


def assert_equal_objects(found, expected, with_masks):
    """Check that the objects are equal, whatever their order."""
    left = [*found]
    for class_name, box, mask in expected:
        for index, (other_name, other_box, other_mask) in enumerate(left):
            is_near = np.abs(np.subtract(box, other_box)).max() <= 1
            if class_name != other_name or not is_near:
                continue
            if with_masks and compute_iou(mask, other_mask) < 0.98:
                continue
            del left[index]
            break
        else:
            pytest.fail(f'{class_name} {box} is not among {left}')
    assert not left


@pytest.mark.parametrize('label_format', READ_FORMATS)
@settings(max_examples=12, deadline=None)
@given(prediction=draw_boxes())
def test_boxes_are_read_as_they_were_written(label_format, prediction):
    with TemporaryDirectory() as name:
        folder = Path(name, 'labels')
        labels = write_folder(folder, [prediction, ANCHOR], label_format)
        dataset, found = read_back(folder, task='detect')
    expected = expect_objects(prediction)
    if label_format == 'voc':  # boxes that round to equal corners are one object
        found_in_full = {(each[0], *each[1]) for each in found}
        assert len(found_in_full) == len(found)
        rounded = {(name, *np.floor(np.array(box) + 0.5)) for name, box, _ in expected}
        assert found_in_full == rounded
    else:
        assert_equal_objects(found, expected, with_masks=False)
    assert not any('left out' in note for note in dataset.notes), dataset.notes
    assert {*dataset.classes} == {*DETECTOR.classes}
    assert labels.writer.num_dropped == len(prediction) - len(expected)


@pytest.mark.parametrize('label_format', READ_FORMATS)
@settings(max_examples=12, deadline=None)
@given(prediction=draw_masks())
def test_masks_are_read_as_they_were_written(label_format, prediction):
    """With holes and all parts; VOC has their boxes."""
    with TemporaryDirectory() as name:
        folder = Path(name, 'labels')
        write_folder(folder, [prediction, add_masks(ANCHOR)], label_format)
        dataset, found = read_back(folder, task=None if label_format == 'voc' else 'segment')
    expected = expect_objects(prediction)
    with_masks = label_format != 'voc'
    if not with_masks:
        expected = [(name, box, None) for name, box, _ in expected]
        expected = [each for i, each in enumerate(expected) if each not in expected[:i]]
    assert_equal_objects(found, expected, with_masks)
    assert not any('left out' in note for note in dataset.notes), dataset.notes
    assert dataset.annotation_types[0] == ('masks' if with_masks else 'boxes')
    if label_format != 'voc':
        assert dataset.classes == DETECTOR.classes


RING = np.zeros((HEIGHT, WIDTH), bool)
RING[10:40, 20:60] = True
RING[15:30, 25:45] = False
RING[50:55, 0:80] = True  # a second part
WITH_RING = make_detections([[20, 10, 60, 40], [0, 0, 9, 9]], [2, 1], np.stack([RING, RING[::-1]]))


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


@pytest.mark.parametrize('label_format', ['coco', 'voc'])
@pytest.mark.parametrize('prediction', [ANCHOR, WITH_RING], ids=['boxes', 'masks'])
def test_datumaro_reads_the_same_objects(label_format, prediction, tmp_path):
    """It is what CVAT imports with."""
    datumaro = pytest.importorskip('datumaro')
    folder = tmp_path / 'labels'
    write_folder(folder, [prediction, prediction], label_format)
    dataset = datumaro.Dataset.import_from(
        str(folder), {'coco': 'coco_instances', 'voc': 'voc_detection'}[label_format]
    )
    names = [label.name for label in dataset.categories()[datumaro.AnnotationType.label].items]
    expected = [
        (each.class_name, [*each.box.edges], None) for each in make_objects(prediction, SIZE)
    ]
    assert len(dataset) == 2
    for item in dataset:
        found = []
        for each in item.annotations:
            if each.type == datumaro.AnnotationType.bbox:
                left, top, width, height = each.get_bbox()
                # It reads VOC's corners, which count from 1, as if from 0: a pixel too far.
                found.append((names[each.label], [left, top, left + width, top + height], None))
        assert_equal_objects(found, expected, with_masks=False)


def test_pycocotools_reads_the_masks(tmp_path):
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


@pytest.mark.parametrize('prediction', [ANCHOR, WITH_RING], ids=['boxes', 'masks'])
def test_label_studios_sdk_accepts_the_predictions(prediction, tmp_path):
    interface = pytest.importorskip('label_studio_sdk.label_interface')
    folder = tmp_path / 'labels'
    write_folder(folder, [prediction], 'label-studio')
    config = interface.LabelInterface((folder / 'labeling_interface.xml').read_text())
    for task in json.loads((folder / 'tasks.json').read_text()):
        for each in task['predictions']:
            assert config.validate_prediction(each, return_errors=True) == []


@pytest.mark.parametrize(
    ('label_format', 'way_out'),
    [
        ('label-studio', 'Import them into Label Studio'),
        ('labelme', '--json_dir .*images --output'),
    ],
)
def test_labels_that_are_no_data_are_rejected_with_what_to_do(label_format, way_out, tmp_path):
    write_folder(tmp_path / 'labels', [ANCHOR], label_format)
    with pytest.raises(UserError, match=way_out):
        read_folder(tmp_path / 'labels')


def test_a_line_counts_the_objects_that_are_left_out(tmp_path):
    repeated = make_detections([ANCHOR.boxes[0], ANCHOR.boxes[0]], [0, 0])
    text = str(write_folder(tmp_path / 'labels', [repeated]))
    assert text.endswith('; 1 object left out: under a pixel, empty or repeated')


@pytest.mark.parametrize('label_format', LABEL_FORMATS)
def test_the_folder_says_which_model_made_its_labels(label_format, tmp_path):
    weights = tmp_path / 'best.pth'
    weights.write_bytes(b'weights')
    thresholds = ScoreThresholds(0.45, {'cat': 0.3})
    model = NamedModel('detection', checkpoint=str(weights), thresholds=thresholds)
    folder = tmp_path / 'labels'
    write_folder(folder, [ANCHOR, make_detections([], [])], label_format, model)
    mark = json.loads((folder / 'made_by.json').read_text())
    assert mark['made_by'].startswith('mmgcvit ')
    assert (mark['format'], mark['score_thr']) == (label_format, 0.45)
    assert mark['class_score_thr'] == {'cat': 0.3}
    assert mark['checkpoint'] == str(weights)
    assert mark['checkpoint_sha256'] == hashlib.sha256(b'weights').hexdigest()
    assert mark['labels']['b.png'] == []
    assert mark['labels']['a.png'][0] == {
        'class': 'cat',
        'score': 0.9,
        'bbox': [2.0, 3.0, 28.0, 37.0],
    }


def test_the_command_names_the_formats_that_there_are():
    assert tuple(OBJECT_WRITERS) == LABEL_FORMATS


@given(
    label_map=st.lists(st.integers(0, 2), min_size=12, max_size=12).map(
        lambda labels: np.repeat(np.repeat(np.reshape(labels, (3, 4)), 20, 0), 20, 1)
    )
)
@settings(max_examples=8, deadline=None)
def test_maps_are_read_as_they_were_written(label_map):
    model = NamedModel('segmentation')
    whole = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3
    predictions = [make_segmentation(each, model.classes) for each in (label_map, whole)]
    with TemporaryDirectory() as name:
        folder = Path(name, 'labels')
        write_folder(folder, predictions, model=model)
        dataset = read_folder(folder, 'semantic', pseudo_labels=True)
        pixels = cv2.imread(str(folder / 'masks/a.png'), cv2.IMREAD_UNCHANGED)
    assert dataset.classes == model.classes
    assert np.array_equal(pixels, label_map)
    names = dataset.splits['train'].images[0].classes
    assert names == {*predictions[0].class_names}


def test_class_folders_are_read_as_they_were_written(tmp_path):
    """Also of classes that are called like a split, or one of which no picture is."""
    model = NamedModel('classification', ('val', 'no', 'Hund & Katz'))
    scores = np.eye(3, dtype=np.float32)
    predictions = [
        Classification(label, model.classes[label], score=1.0, scores=scores[label])
        for label in (2, 0, 2)
    ]
    folder = tmp_path / 'labels'
    write_folder(folder, predictions, model=model)
    split = read_folder(folder, pseudo_labels=True).splits['train']
    found = {Path(image.name).name: image.class_name for image in split.images}
    assert found == {'a.png': 'Hund & Katz', 'b.png': 'val', 'c.png': 'Hund & Katz'}


def test_pictures_are_links_or_where_there_are_none_copies(tmp_path, monkeypatch):
    write_folder(tmp_path / 'linked', [ANCHOR])
    photo = tmp_path / 'photos' / 'a.png'
    assert photo.samefile(tmp_path / 'linked/images/train/a.png')

    def fail(*_):
        raise OSError(18, 'Invalid cross-device link')

    monkeypatch.setattr(os, 'link', fail)
    write_folder(tmp_path / 'copied', [ANCHOR])
    copy = tmp_path / 'copied/images/train/a.png'
    assert not photo.samefile(copy)
    assert photo.read_bytes() == copy.read_bytes()


def test_a_picture_whose_labels_cannot_be_written_is_not_in_the_folder(tmp_path):
    """It would be an image without objects."""
    labels = LabelFolder(DETECTOR, tmp_path / 'labels', 'yolo')
    (tmp_path / 'labels/labels').write_text('a file where the folder of labels would be')
    photo = tmp_path / 'a.png'
    cv2.imwrite(str(photo), picture_of(HEIGHT, WIDTH))
    with pytest.raises(NotADirectoryError):
        labels.add(str(photo), SIZE, ANCHOR)
    assert not (tmp_path / 'labels/images/train/a.png').exists()
    assert photo.exists()


@pytest.mark.parametrize(
    ('settings', 'is_rotated'),
    [
        (DecodingSettings(), True),
        (DecodingSettings('unchanged'), False),
        (DecodingSettings('color_ignore_orientation'), False),
        (DecodingSettings('color', 'pillow'), True),
        (DecodingSettings('color_ignore_orientation', 'pillow'), False),
    ],
)
def test_a_picture_that_the_model_does_not_rotate_is_rejected(settings, is_rotated, tmp_path):
    """One without EXIF rotation is not."""
    photo = tmp_path / 'a.jpg'
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3  # upside down
    picture = picture_of(HEIGHT, WIDTH)
    Image.fromarray(picture).save(photo, exif=exif, quality=95)
    pixels, _ = load_image(photo, settings)
    difference = np.abs(pixels[::-1, ::-1].astype(int) - picture[..., ::-1]).mean()
    assert (difference < 9) == is_rotated
    cv2.imwrite(str(tmp_path / 'b.png'), picture)
    labels = LabelFolder(NamedModel('detection', decoding=settings), tmp_path / 'labels')
    labels.add(str(tmp_path / 'b.png'), SIZE, ANCHOR)
    if is_rotated:
        labels.add(str(photo), SIZE, ANCHOR)
        return
    with pytest.raises(UserError, match='the model ignores its EXIF rotation'):
        labels.add(str(photo), SIZE, ANCHOR)


def test_masks_of_tiles_are_crops_and_become_the_same_objects():
    """Those of a model that predicts large images in tiles are a ``CompactMask``."""
    compact = sv.CompactMask.from_dense(
        WITH_RING.masks, np.array([[0, 0, WIDTH, HEIGHT]] * 2), (HEIGHT, WIDTH)
    )
    in_tiles = replace(WITH_RING, masks=compact)
    for one, other in zip(make_objects(in_tiles, SIZE), make_objects(WITH_RING, SIZE), strict=True):
        assert one.annotate(1) == other.annotate(1)


def test_a_folder_with_files_is_not_written(tmp_path):
    write_folder(tmp_path / 'labels', [ANCHOR])
    for path in (tmp_path / 'labels', tmp_path / 'photos/a.png'):
        with pytest.raises(UserError, match='expected a new or empty folder'):
            check_new_folder(path)
    check_new_folder(tmp_path / 'new')


@pytest.mark.parametrize(
    ('images', 'words'),
    [
        (['a/1.jpg', 'b/1.jpg'], 'a/1.jpg and b/1.jpg would share a label file'),
        (['1.JPG', '1.png'], '1.JPG and 1.png would share a label file'),
        (['http://x/a.png'], 'http://x/a.png is a URL. Download it'),
        (['a.data'], 'a.data cannot be a picture of a dataset'),
        (['.a.png'], 'does not begin with a dot'),
        (['a\tb.png'], 'cannot be a picture'),
        ([os.fsdecode(b'a\xff.png')], 'cannot be a picture'),
    ],
)
def test_pictures_that_cannot_have_labels_are_rejected(images, words):
    with pytest.raises(UserError, match=words):
        check_pictures(images, [])


def test_videos_have_no_labels():
    with pytest.raises(UserError, match=r'only for pictures, not for videos \(film.mp4\)'):
        check_pictures(['a.png'], ['film.mp4'])


@pytest.mark.parametrize(
    ('task', 'classes', 'label_format', 'words'),
    [
        ('detection', ('Cat', 'cat'), 'coco', 'equal to another one but for case'),
        ('detection', (' cat',), 'voc', 'blanks at an end'),
        ('detection', ('a:b',), 'voc', 'labelmap.txt of Pascal VOC cannot have the classes a:b'),
        ('segmentation', [str(index) for index in range(256)], None, 'at most 255'),
        ('classification', ('cat/dog', '.x', 'y'), None, 'cat/dog, .x cannot be names of folders'),
        ('classification', ('x', 'y'), 'coco', '--labels-format is only for detectors'),
        ('segmentation', ('x', 'y'), 'coco', '--labels-format is only for detectors'),
        (
            'keypoints',
            ('x', 'y'),
            None,
            'labels of a keypoints model cannot be written, only those',
        ),
    ],
)
def test_classes_and_formats_that_cannot_be_written_are_rejected(
    task, classes, label_format, words, tmp_path
):
    with pytest.raises(UserError, match=words):
        LabelFolder(NamedModel(task, classes), tmp_path / 'labels', label_format)
    assert not (tmp_path / 'labels').exists()


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
