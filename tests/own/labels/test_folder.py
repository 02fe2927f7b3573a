"""Labels that are written are read back: the same classes, boxes within a pixel, and masks with an
IoU of 0.98. What the rules for data would leave out isn't written.
"""

import errno
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
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask

from mmgcvit.commands.predict import LABEL_FORMATS
from mmgcvit.datasets.decoding import DecodingSettings, load_image
from mmgcvit.datasets.rules.objects import REPEATED_OBJECTS
from mmgcvit.errors import UserError
from mmgcvit.own.data.folders import MARK
from mmgcvit.own.data.formats.finding import read_folder
from mmgcvit.own.data.origins import read_origin
from mmgcvit.own.labels.folder import LabelFolder, check_new_folder, check_pictures
from mmgcvit.own.labels.formats import OBJECT_WRITERS
from mmgcvit.own.labels.objects import make_objects
from mmgcvit.predict.results import Classification, make_segmentation
from mmgcvit.predict.thresholds import ScoreThresholds
from mmgcvit.version import __version__

from ...predict.conftest import picture_of
from .examples import (
    ANCHOR,
    DETECTOR,
    HEIGHT,
    SIZE,
    WIDTH,
    WITH_RING,
    assert_equal_objects,
    make_detections,
    write_folder,
)
from .models import NamedModel

REPEATED = REPEATED_OBJECTS.problem
# The formats that check-data reads
READ_FORMATS = ('coco', 'yolo', 'voc')


# In whole pixels, as VOC has them, they are equal.
ALMOST_EQUAL = make_detections([[10, 10, 20, 20], [10.25, 10, 20, 19.75]], [0, 0])


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


@pytest.mark.parametrize('label_format', READ_FORMATS)
@settings(max_examples=12, deadline=None)
@given(prediction=draw_boxes())
@example(prediction=ALMOST_EQUAL)
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
    assert not any('left out' in note or REPEATED in note for note in dataset.notes)
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
    assert not any('left out' in note or REPEATED in note for note in dataset.notes)
    assert dataset.annotation_types[0] == ('masks' if with_masks else 'boxes')
    if label_format != 'voc':
        assert dataset.classes == DETECTOR.classes


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


@pytest.mark.parametrize(
    ('task', 'label_format'),
    [('detection', 'coco'), ('segmentation', None), ('classification', None)],
)
def test_the_mark_has_what_the_command_was_asked_for(task, label_format, tmp_path):
    """The format only where a task has several, and thresholds only of detectors."""
    config = tmp_path / 'config.py'
    model = NamedModel(task, config=config, tiles=512)
    LabelFolder(model, tmp_path / 'labels', classes=['cat', 'no'])
    mark = json.loads((tmp_path / 'labels/made_by.json').read_text())
    assert mark.pop('made_by') == f'mmgcvit {__version__}'
    is_detector = task == 'detection'
    assert mark == {
        'task': task,
        'config': str(config),
        'checkpoint': None,
        'checkpoint_sha256': None,
        'format': label_format,
        'score_thr': 0.3 if is_detector else None,
        'class_score_thr': {} if is_detector else None,
        'only_classes': ['cat', 'no'],
        'tiles': 512,
        'classes': list(model.classes),
        'pictures': {},
        'labels': {},
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


def test_a_link_to_a_picture_becomes_the_picture(tmp_path):
    """It would lead nowhere in a copy of the folder on another machine."""
    picture = tmp_path / 'far/a.png'
    picture.parent.mkdir()
    cv2.imwrite(str(picture), picture_of(HEIGHT, WIDTH))
    link = tmp_path / 'a.png'
    link.symlink_to(picture)
    labels = LabelFolder(DETECTOR, tmp_path / 'labels')
    labels.add(str(link), SIZE, ANCHOR)
    made = tmp_path / 'labels/images/train/a.png'
    assert not made.is_symlink()
    assert made.samefile(picture)


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


@pytest.mark.parametrize('name', ['compute_sha256', 'read_orientation'])
def test_a_signal_leaves_a_mark_that_can_be_read(name, tmp_path, monkeypatch):
    """Also if it comes while the picture is hashed, which takes as long as reading it."""
    folder = tmp_path / 'labels'
    labels = LabelFolder(DETECTOR, folder, 'yolo')
    for photo in (tmp_path / 'a.png', tmp_path / 'b.png'):
        cv2.imwrite(str(photo), picture_of(HEIGHT, WIDTH))
    labels.add(str(tmp_path / 'a.png'), SIZE, ANCHOR)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f'mmgcvit.own.labels.folder.{name}', interrupt)
    with pytest.raises(KeyboardInterrupt):
        labels.add(str(tmp_path / 'b.png'), SIZE, ANCHOR)
    labels.finish()
    assert [*read_origin(folder).pictures] == ['a.png']
    assert [path.name for path in (folder / 'images/train').iterdir()] == ['a.png']


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


@pytest.mark.parametrize('label_format', OBJECT_WRITERS)
def test_of_two_commands_at_once_only_the_first_writes(label_format, tmp_path, monkeypatch):
    """Both have found the folder empty. The labels of the second would replace those of the first
    in files for all pictures.
    """
    folder = tmp_path / 'labels'
    first = LabelFolder(DETECTOR, folder, label_format)
    mark = (folder / MARK).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr('mmgcvit.own.labels.folder.check_new_folder', lambda folder: None)
        with pytest.raises(UserError, match='expected a new or empty folder'):
            LabelFolder(DETECTOR, folder, label_format)
    assert (folder / MARK).read_bytes() == mark
    first.finish()


def test_a_folder_whose_mark_cannot_be_written_stays_empty(tmp_path, monkeypatch):
    """So the command can be given again."""

    def fail(path, text):
        raise OSError(errno.ENOSPC, 'No space left on device')

    folder = tmp_path / 'labels'
    with monkeypatch.context() as patch:
        patch.setattr('mmgcvit.own.labels.folder.write_text', fail)
        with pytest.raises(OSError, match='No space'):
            LabelFolder(DETECTOR, folder)
    assert not any(folder.iterdir())
    LabelFolder(DETECTOR, folder)


@pytest.mark.parametrize(
    ('images', 'words'),
    [
        (['a/1.jpg', 'b/1.jpg'], 'a/1.jpg and b/1.jpg would share a label file'),
        (['1.JPG', '1.png'], '1.JPG and 1.png would share a label file'),
        (['a/x.jpg', 'b/X.jpg'], 'a/x.jpg and b/X.jpg would share a label file'),
        (['http://x/a.png'], 'http://x/a.png is a URL. Download it'),
        (['a.data'], 'a.data cannot be a picture of a dataset'),
        (['.a.png'], 'does not begin with a dot'),
        (['@a.png'], 'does not begin with a dot or @'),
        (['a\tb.png'], 'cannot be a picture'),
        (['a\\b.png'], 'has no backslash'),
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
        ('detection', ('#a',), 'voc', 'labelmap.txt of Pascal VOC cannot have the classes #a'),
        ('segmentation', [str(index) for index in range(256)], None, 'at most 255'),
        ('classification', ('\u00e4' * 128, 'y'), None, 'or have over 255 bytes'),
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
