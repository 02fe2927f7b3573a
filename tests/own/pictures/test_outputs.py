"""Predictions are written in a format that pycocotools reads, and replace no earlier ones."""

from argparse import Namespace
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mmgcvit.commands.options import check_out_dir, create_out_dir
from mmgcvit.datasets.coco_categories import make_coco_categories
from mmgcvit.errors import MANY, UserError
from mmgcvit.own.judging.limits import format_limit
from mmgcvit.own.pictures.output_files import FILES
from mmgcvit.own.pictures.outputs import Outputs, write_counts
from mmgcvit.predict.results import Classification, Detections, find_labels, make_segmentation


@pytest.mark.parametrize(
    'names',
    [
        {'photos/a/1.jpg': 'a/1', 'photos/b/1.jpg': 'b/1'},
        {'a.jpg': 'a', 'A_2.jpg': 'A_2', 'a.png': 'a_3'},
        {'\u00e9.jpg': '\u00e9', 'e\u0301.jpg': 'e\u0301_2'},
        {'http://x/a.png?b': 'a', 'http://x/a.png?c': 'a_2'},
        {'../../a/x.jpg': 'a/x', '../b/x.jpg': 'w/b/x'},
    ],
)
def test_each_input_has_a_unique_output_path(names, tmp_path, monkeypatch):
    here = tmp_path / 'w' / 'main'
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    outputs = Outputs(tmp_path, list(names))
    for path, name in names.items():
        assert outputs.get_path('vis', path, '.x') == tmp_path / 'vis' / f'{name}.x'


def test_a_video_is_written_under_its_name_whatever_its_folder(tmp_path):
    """As docs/predict.md says: vis/video.mp4. It does not change where pictures are written."""
    images = ['photos/a/1.jpg', 'photos/b/1.jpg']
    videos = ['films/x/video.mp4', 'films/y/video.avi', '/other/VIDEO.mp4']
    outputs = Outputs(tmp_path, images, videos)
    names = [str(outputs.names[source]) for source in (*images, *videos)]
    assert names == ['a/1', 'b/1', 'video', 'video_2', 'VIDEO_3']
    alone = Outputs(tmp_path, [], videos[:1])
    assert alone.get_path('vis', videos[0], '.mp4') == tmp_path / 'vis' / 'video.mp4'


STEMS = ['a', 'A', 'a_2', 'b/a', 'http://x/a?y', 'http://x/a?z', 'c/../b/A']


@given(
    st.lists(st.sampled_from([f'{stem}{end}' for stem in STEMS for end in ('', '.tif', '.mp4')]))
)
def test_no_two_inputs_share_an_output(names):
    outputs = Outputs(Path(), names)
    assert len({str(path).lower() for path in outputs.names.values()}) == len(set(names))


@pytest.mark.parametrize(('label', 'dtype'), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_segmentation_maps_have_16_bits_where_a_class_needs_them(label, dtype, tmp_path):
    path = Outputs(tmp_path, ['1.jpg']).write_label_map('1.jpg', np.array([[0, label]]))
    written = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert (written.tolist(), written.dtype) == ([[0, label]], dtype)


def test_earlier_results_are_overwritten_only_with_the_option(tmp_path):
    """Other files in the folder are allowed."""
    (tmp_path / 'notes.txt').touch()
    args = Namespace(out_dir=tmp_path, default_dir=Path('found'), overwrite=False)
    check_out_dir(args, FILES)
    (tmp_path / 'predictions.json').touch()
    with pytest.raises(UserError, match=r'already has results .* add --overwrite to replace them'):
        check_out_dir(args, FILES)
    # By another command since the check
    with pytest.raises(UserError, match=r'already has results \(predictions.json\)'):
        create_out_dir(args, None, FILES)
    assert (tmp_path / 'predictions.json').is_file()
    (tmp_path / 'vis').mkdir()
    with pytest.raises(UserError, match=r'already has results \(vis\)'):
        create_out_dir(args, 'vis', ())
    args.overwrite = True
    check_out_dir(args, FILES)
    args.out_dir = Path('/proc/x')
    with pytest.raises(UserError, match=r'^--out-dir /proc/x cannot be written .*\. Choose'):
        check_out_dir(args, FILES)


def test_the_remedy_for_too_many_objects_is_tiles_or_smaller_ones():
    for tiles, advice in ((None, 'in tiles ('), (512, 'in tiles under 512 px (')):
        assert advice in format_limit(['a.jpg'], 1, SimpleNamespace(tiles=tiles, limit=100))


def test_classes_of_the_same_name_are_counted_on_their_own(tmp_path):
    """ImageNet has two classes called crane."""
    counts = {'a': Counter([0]), 'b': Counter([2])}
    write_counts(tmp_path / 'x.csv', counts, ['crane', 'dog', 'crane'])
    assert (tmp_path / 'x.csv').read_text('utf-8-sig').split() == [
        'file_name,crane,dog,crane',
        'a,1,0,0',
        'b,0,0,1',
    ]


def test_of_many_classes_those_that_occur_have_columns_in_their_order(tmp_path):
    counts = {'a': Counter([MANY]), 'b': Counter([9, 2])}
    write_counts(tmp_path / 'x.csv', counts, [f'c{index}' for index in range(MANY + 1)])
    assert (tmp_path / 'x.csv').read_text('utf-8-sig').split() == [
        f'file_name,c2,c9,c{MANY}',
        'a,0,0,1',
        'b,1,1,0',
    ]


def test_a_class_that_was_not_counted_has_no_column(tmp_path):
    """Its 0 would say that there are none, as under predict --classes dog."""
    write_counts(tmp_path / 'x.csv', {'a': Counter([1])}, ['cat', 'dog'], labels=[1])
    assert (tmp_path / 'x.csv').read_bytes() == b'\xef\xbb\xbffile_name,dog\r\na,1\r\n'


@pytest.mark.parametrize('start', ['=', '+', '-', '@'])
def test_names_that_spreadsheets_would_compute_are_text_in_counts(start, tmp_path):
    write_counts(tmp_path / 'x.csv', {f'{start}a.png': Counter([0])}, [f'{start}SUM(1)', '1-2'])
    lines = (tmp_path / 'x.csv').read_text(encoding='utf-8-sig').splitlines()
    assert lines == [f"file_name,'{start}SUM(1),1-2", f"'{start}a.png,1,0"]


def test_detections_are_written_in_cocos_results_format():
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 2:8, 3:9] = True
    boxes = np.array([[3, 2, 9, 8], [29, 0, 30, 20]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.5]), np.array([1, 0]), ['cat', 'dog'], masks)
    categories = make_coco_categories(found.classes)
    dog, _ = found.make_records(categories)
    assert (dog['bbox'], dog['category_id']) == ([3, 2, 6, 6], 2)
    np.testing.assert_array_equal(coco_mask.decode(dog['segmentation']), masks[0])
    assert 'segmentation' not in replace(found, masks=None).make_records(categories)[0]


def test_predictions_print_one_line_and_can_be_filtered_and_iterated():
    boxes, scores = np.eye(3, 4, dtype=np.float32), np.array([0.9, 0.5, 0.4])
    found = Detections(boxes, scores, np.array([1, 0, 1]), ['cat', 'dog', 'owl'])
    assert repr(found) == 'Detections(3 objects: 2 dog, 1 cat; scores 0.40 to 0.90)'
    assert repr(found.filter(0.5, 'owl')) == 'Detections(0 objects)'
    (dog,) = found.filter(0.5, {'dog', 'owl'})
    assert (dog.score, dog.label, dog.class_name, dog.mask) == (0.9, 1, 'dog', None)
    np.testing.assert_array_equal(dog.box, boxes[0])
    assert found.select(found.scores < 0.6).class_names == ['cat', 'dog']
    with pytest.raises(UserError, match='no class dgo'):
        found.filter(classes=['cat', 'dgo'])
    segments = make_segmentation(np.array([[0, 0, 1, 0]]), ['sky', 'sea'])
    assert repr(segments) == 'Segmentation(4 x 1 px: 75.0% sky, 25.0% sea)'
    assert repr(Classification(1, 'b', 0.75, scores)) == 'Classification(b, score 0.75)'


def test_a_name_filters_all_classes_that_have_it_and_an_index_one():
    """By a threshold too: the dog, between them, keeps its own."""
    boxes, scores = np.eye(4, dtype=np.float32), np.array([0.9, 0.6, 0.5, 0.4], np.float32)
    found = Detections(boxes, scores, np.array([2, 0, 1, 2]), ['crane', 'dog', 'crane'])
    assert found.filter(classes='crane').labels.tolist() == [2, 0, 2]
    assert found.filter(classes=[2]).labels.tolist() == [2, 2]
    assert found.filter({'crane': 0.6}).labels.tolist() == [2, 0, 1]
    assert found.filter({'dog': 0.6}, classes=['dog', 0]).labels.tolist() == [0]
    assert find_labels(['crane', 1], found.classes) == [0, 1, 2]
    for number in (3, '3'):
        with pytest.raises(UserError, match='the model has no class 3'):
            find_labels([number], found.classes)


@pytest.mark.parametrize('score_thr', [number / 100 for number in range(101)])
def test_a_score_equal_to_its_threshold_is_kept(score_thr):
    """Scores are float32: 0.9 is a little less there."""
    scores = np.array([score_thr], np.float32)
    found = Detections(np.eye(1, 4, dtype=np.float32), scores, np.array([0]), ['cat'])
    assert len(found.filter(score_thr)) == len(found.filter({'cat': score_thr})) == 1


def test_a_classifier_writes_the_five_highest_scores_in_their_order():
    scores = np.array([0.02, 0.3, 0.05, 0.2, 0.1, 0.25, 0.08], np.float32)
    categories = [{'id': label, 'name': f'c{label}'} for label in range(7)]
    records = Classification(1, 'c1', 0.3, scores).make_records(categories)
    assert [record['category_id'] for record in records] == [1, 5, 3, 4, 6]


@pytest.mark.parametrize('other', [2, 254, 255])
def test_values_that_are_no_class_are_left_out_of_a_segmentation(other):
    """As the ignore index of ground truth."""
    segments = make_segmentation(np.array([[1, 1, other], [0, other, other]]), ['sky', 'sea'])
    assert (segments.class_names, segments.areas.tolist()) == (['sea', 'sky'], [2, 1])


def test_segmentations_are_written_with_areas_and_convert_to_supervision():
    classes, label_map = ['sky', 'land', 'sea'], np.array([[0, 0, 2], [0, 2, 0]], np.int32)
    segments = make_segmentation(label_map, classes)
    sky, sea = segments.make_records(
        [{'id': 7, 'name': 'sky'}, {'id': 8, 'name': 'land'}, {'id': 9, 'name': 'sea'}]
    )
    assert (sky['category_name'], sky['area'], sea['category_id'], sea['area']) == ('sky', 4, 9, 2)
    np.testing.assert_array_equal(coco_mask.decode(sea['segmentation']), label_map == 2)
    assert segments.to_supervision().area.tolist() == [4, 2]
