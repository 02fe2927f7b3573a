"""Annotation files in COCO's format: each fault is answered by a sentence with the file's name."""

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.registry import DATASETS
from pycocotools import mask as coco_mask

from mmgcvit.datasets.checks import Outcome

from .made import HEIGHT, WIDTH, coco_content, look, pipe, refusal, said, write_coco

NAN, INFINITY = float('nan'), float('inf')
# A whole number that no float holds.
HUGE = 10**400


def first(name, /, **changes):
    """A change of the first image, annotation or category."""

    def change(content):
        content[name][0].update(changes)

    return change


def each_annotation(**changes):
    def change(content):
        for annotation in content['annotations']:
            annotation.update(changes)

    return change


def without(name, key):
    def change(content):
        del content[name][0][key]

    return change


def runs(mask=None, **changes):
    """A mask of the whole image in compressed run lengths, and what is changed of it."""
    mask = np.ones((HEIGHT, WIDTH)) if mask is None else mask
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {'size': encoded['size'], 'counts': encoded['counts'].decode()} | changes


STOPPING = {
    'no area': (without('annotations', 'area'), r"annotations\[0\] \(id 10\) has no 'area'"),
    'no box': (without('annotations', 'bbox'), "has no 'bbox'"),
    'no file name': (without('images', 'file_name'), r"images\[0\] \(id 0\) has no 'file_name'"),
    'no name': (without('categories', 'name'), r"categories\[0\] .* has no 'name'"),
    'no annotations': (lambda content: content.pop('annotations'), "COCO's format .*no annotations"),
    'images in an object': (lambda content: content.update(images={}), 'no images'),
    'an annotation that is none': (lambda content: content['annotations'].append(7), r'annotations\[3\] is no object'),
    'NaN in a box': (first('annotations', bbox=[1, NAN, 3, 4]), r'no finite numbers.*annotation 10'),
    'an infinite box': (first('annotations', bbox=[1, 2, INFINITY, 4]), r'no finite numbers.*annotation 10'),
    'three numbers of a box': (first('annotations', bbox=[1, 2, 3]), 'no finite numbers'),
    'a box in words': (first('annotations', bbox=['1', '2', '3', '4']), 'no finite numbers'),
    'a box of 400 digits': (first('annotations', bbox=[1, 2, HUGE, 4]), 'no finite numbers.*annotation 10'),
    'an area of 400 digits': (first('annotations', area=HUGE), 'no finite numbers.*annotation 10'),
    'NaN as area': (first('annotations', area=NAN), 'no finite numbers'),
    'an id in brackets': (first('annotations', id=[10]), r'neither numbers .*annotations\[0\] id \[10\]'),
    'no name of a file': (first('images', file_name=7), r'images\[0\] file_name 7'),
    'same image id': (first('images', id=1), 'used twice .*images id 1'),
    'same annotation id': (first('annotations', id=11), 'used twice .*annotations id 11'),
    'same category name': (lambda content: content['categories'].append({'id': 3, 'name': 'cat'}), 'name cat'),
    'unknown category': (first('annotations', category_id=99), 'not list .*annotation 10 of category 99'),
    'a width of 400 digits': (first('images', width=HUGE), 'without a width'),
    'an image without width': (first('images', width=0), r'a\.jpg 0 x 30'),
    'a width in words': (first('images', width='40'), r'a\.jpg 40 x 30'),
    'another width': (first('images', width=WIDTH + 1), r'a\.jpg is 40 x 30, annotated as 41 x 30'),
    'a class that the file lacks': (first('categories', name='kitten'), "'cat' .it has: 'kitten', 'dog'"),
    'classes in another order': (
        lambda content: content['categories'].reverse(),
        "'dog' would be called 'cat', 'cat' would be called 'dog'",
    ),
    'no mask': (first('annotations', segmentation=[]), 'without a mask.*annotation 10.*custom_coco_boxonly'),
    'NaN in a polygon': (first('annotations', segmentation=[[1, 2, NAN, 4, 5, 6]]), 'neither .*annotation 10'),
    'a polygon of 400 digits': (first('annotations', segmentation=[[HUGE, 2, 3, 4, 5, 6]]), 'neither .*annotation 10'),
    'a polygon far outside': (first('annotations', segmentation=[[0, 0, 9, 9, 1e9, 5]]), 'reach out .*annotation 10'),
    'a polygon without brackets': (first('annotations', segmentation=[1, 2, 3, 4, 5, 6]), 'neither .*annotation 10'),
    'run lengths of another size': (first('annotations', segmentation=runs(np.ones((3, 4)))), 'run lengths.*10'),
    'cut run lengths': (first('annotations', segmentation=runs(counts='0P')), 'run lengths.*annotation 10'),
    'run lengths too short': (first('annotations', segmentation=runs(counts=[3, 4])), 'run lengths.*annotation 10'),
    'negative run lengths': (
        first('annotations', segmentation=runs(counts=[-1, HEIGHT * WIDTH + 1])),
        'run lengths.*annotation 10',
    ),
    'run lengths of no text': (first('annotations', segmentation=runs(counts=None)), 'run lengths.*annotation 10'),
    'a broken mask of a crowd': (first('annotations', iscrowd=1, segmentation=[]), 'without a mask.*annotation 10'),
    'iscrowd as text': (first('annotations', iscrowd='0'), "neither 0 nor 1 .*annotation 10 iscrowd '0'"),
    'iscrowd null': (first('annotations', iscrowd=None), 'neither 0 nor 1 .*annotation 10 iscrowd None'),
    'iscrowd 2': (first('annotations', iscrowd=2), 'neither 0 nor 1 .*annotation 10 iscrowd 2'),
    'ignore as text': (first('annotations', ignore='0'), "neither 0 nor 1 .*annotation 10 ignore '0'"),
}
LEFT_OUT = {
    'no width': (first('annotations', bbox=[1, 2, 0, 4]), 'under a pixel'),
    'negative height': (first('annotations', bbox=[1, 2, 3, -4]), 'negative'),
    'outside': (first('annotations', bbox=[WIDTH + 1, 2, 3, 4]), 'wholly outside'),
    'no area': (first('annotations', area=0), 'areas of zero'),
    'four numbers': (first('annotations', segmentation=[[1, 2, 3, 4]]), 'fewer than six'),
    'an odd number': (first('annotations', segmentation=[[1, 2, 3, 4, 5, 6, 7]]), 'odd number'),
    'an image that is not listed': (first('annotations', image_id=99), 'annotation 10 of image 99'),
}


def changed(change):
    content = coco_content()
    change(content)
    return content


@pytest.mark.parametrize('name', STOPPING)
def test_what_stops_a_run_is_refused_by_name(name, tmp_path):
    change, words = STOPPING[name]
    sentence = refusal(write_coco(tmp_path, changed(change)))
    assert sentence.startswith(f'{tmp_path}/train.json: ')
    assert re.search(words, sentence), sentence


@pytest.mark.parametrize('name', LEFT_OUT)
def test_what_training_leaves_out_is_said(name, tmp_path):
    """And it is left out: the data set as training builds it has one object less, or ignores one."""
    change, words = LEFT_OUT[name]
    settings = write_coco(tmp_path, changed(change))
    sentence = said(settings, Outcome.LEFT_OUT)
    assert sentence.startswith(f'{tmp_path}/train.json: ')
    assert 'annotation 10' in sentence
    assert re.search(words, sentence), sentence
    loaded = DATASETS.build(settings)
    ignored = [loaded[i]['gt_ignore_flags'].tolist() for i in range(3)]
    assert sum(flags == [False] for flags in ignored) == 2


def test_boxes_over_the_edge_are_clipped_by_resizing(tmp_path):
    settings = write_coco(tmp_path, changed(first('annotations', bbox=[-5, 3, 20, 12])))
    assert 'partly outside' in said(settings, Outcome.REPAIRED)
    settings['pipeline'].append({'type': 'Resize', 'scale': (WIDTH, HEIGHT)})
    assert DATASETS.build(settings)[0]['gt_bboxes'].tensor.tolist() == [[0, 3, 15, 15]]


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'files of 0 bytes'),
        (b'Hello', 'no whole JSON'),
        (json.dumps(coco_content()).encode()[:-40], 'no whole JSON'),
        (b'\xef\xbb\xbf' + json.dumps(coco_content()).encode(), 'byte order mark'),
        (json.dumps(coco_content()).encode('utf-16'), 'UTF-8'),
        (b'[' * 100_000, 'no whole JSON'),
        (b'{"images": ' + b'1' * 5000 + b'}', 'over 4,300 digits'),
        (b'null', 'no object'),
        (b'[]', 'no object'),
    ],
)
def test_a_file_that_is_no_json_is_refused_by_name(content, words, tmp_path):
    settings = write_coco(tmp_path)
    (tmp_path / 'train.json').write_bytes(content)
    sentence = refusal(settings)
    assert sentence.startswith(f'{tmp_path}/train.json: ')
    assert words in sentence


def test_an_annotation_file_that_is_a_pipe_is_not_opened(tmp_path):
    settings = write_coco(tmp_path)
    pipe(tmp_path / 'train.json')
    assert 'no regular files' in refusal(settings)


def test_a_whole_set_gives_no_complaint(tmp_path):
    content = changed(first('annotations', segmentation=runs()))
    content['annotations'][1]['segmentation'] = runs(counts=[100, 50, HEIGHT * WIDTH - 150])
    report = look(write_coco(tmp_path, content))
    assert not report.found
    assert not report.notes


@pytest.mark.parametrize(
    'flags', [{'iscrowd': True}, {'iscrowd': 1, 'ignore': 0}, {'ignore': 1}, {'ignore': None}, {'iscrowd': False}]
)
@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_some_crowds_and_ignored_objects_give_no_complaint(flags, loader, tmp_path):
    assert not look(write_coco(tmp_path, changed(first('annotations', **flags))), loader).found


def test_masks_are_not_asked_for_where_none_are_loaded(tmp_path):
    settings = write_coco(tmp_path, changed(without('annotations', 'segmentation')))
    settings['pipeline'] = [{'type': 'LoadAnnotations', 'with_bbox': True}]
    assert not look(settings).found


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (without('annotations', 'iscrowd'), "has no 'iscrowd'"),
        (first('annotations', segmentation=[[1, 2, 3, 4]]), 'scores of masks cannot be computed'),
    ],
)
def test_scores_ask_for_more_than_training(change, words, tmp_path):
    settings = write_coco(tmp_path, changed(change))
    assert words in refusal(settings, 'val_dataloader')


def test_without_annotations_there_is_nothing_to_score_against(tmp_path):
    report = look(write_coco(tmp_path, changed(lambda content: content.pop('annotations'))), 'test_dataloader')
    assert not report.found
    assert 'nothing to score against' in report.notes[0]


@pytest.mark.parametrize(
    'change', [lambda content: content['annotations'].clear(), each_annotation(iscrowd=1), each_annotation(ignore=1)]
)
def test_a_set_that_has_nothing_to_train_on_is_refused(change, tmp_path):
    assert 'nothing to train on' in refusal(write_coco(tmp_path, changed(change)))


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.one_of(st.floats(), st.text(max_size=2), st.lists(st.floats(), max_size=7)), max_size=6),
    st.dictionaries(st.sampled_from(['size', 'counts']), st.one_of(st.text(), st.lists(st.integers()), st.none())),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_file_the_check_ends_with_an_answer(data, tmp_path):
    """And what it lets pass, the host loads."""
    content = coco_content()
    entry = data.draw(st.sampled_from([entry for entries in content.values() for entry in entries]))
    entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(JUNK)
    dataset = write_coco(tmp_path, content)
    if not look(dataset).sentences(Outcome.STOPS):
        loaded = DATASETS.build(dataset)
        assert all(loaded[number] is not None for number in range(len(loaded)))


def test_several_faults_are_told_together_with_their_number(tmp_path):
    content = coco_content()
    for annotation in content['annotations']:
        annotation['bbox'] = [1, 2, NAN, 4]
    content['images'][0]['width'] = 0
    sentences = look(write_coco(tmp_path, content)).sentences(Outcome.STOPS)
    assert len(sentences) == 3
    assert any('no finite numbers (2: ' in sentence for sentence in sentences)
