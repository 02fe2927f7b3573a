"""Annotation files in COCO's format: each fault is answered by a sentence with the file's name, and nothing else is.

What becomes of a fault is asked of the hosts: of mmdet's loading, and of pycocotools' scores.
"""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from mmengine.registry import DATASETS
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmgcvit.datasets.checks import Outcome
from mmgcvit.datasets.checks.coco import decompressed, is_whole

from .made import HEIGHT, NAMES, WIDTH, changed, coco_content, expect_answers, look, pipe, write_coco

NAN, INFINITY = float('nan'), float('inf')
# A whole number that no float holds.
HUGE = 10**400


def first(name, /, **changes):
    """A change of the first image, annotation or category."""
    return lambda content: content[name][0].update(changes)


def each_annotation(**changes):
    return lambda content: [annotation.update(changes) for annotation in content['annotations']]


def without(name, key):
    return lambda content: content[name][0].pop(key)


def renamed(name, key, old, new):
    """A change of an id of images, annotations or categories, and of what refers to it."""

    def change(content):
        for entry in content[name]:
            entry['id'] = new if entry['id'] == old else entry['id']
        for annotation in content['annotations']:
            annotation[key] = new if annotation[key] == old else annotation[key]

    return change


def mask(segmentation):
    return first('annotations', segmentation=segmentation)


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
    'unknown category': (first('annotations', category_id=99), 'not list .*annotation 10 category_id 99'),
    'a width of 400 digits': (first('images', width=HUGE), 'without a width'),
    'an image without width': (first('images', width=0), r'a\.jpg 0 x 30'),
    'a width in words': (first('images', width='40'), r'a\.jpg 40 x 30'),
    'another width': (first('images', width=WIDTH + 1), r'a\.jpg is 40 x 30, annotated as 41 x 30'),
    'a class that the file lacks': (first('categories', name='kitten'), "'cat' .it has: 'kitten', 'dog'"),
    'classes in another order': (
        lambda content: content['categories'].reverse(),
        "'dog' would be called 'cat', 'cat' would be called 'dog'",
    ),
    'no mask': (mask([]), 'without a mask.*annotation 10.*custom_coco_boxonly'),
    'NaN in a polygon': (mask([[1, 2, NAN, 4, 5, 6]]), 'neither .*annotation 10'),
    'a polygon of 400 digits': (mask([[HUGE, 2, 3, 4, 5, 6]]), 'neither .*annotation 10'),
    'a polygon far outside': (mask([[0, 0, 9, 9, 1e9, 5]]), 'reach out .*annotation 10'),
    'a polygon without brackets': (mask([1, 2, 3, 4, 5, 6]), 'neither .*annotation 10'),
    'run lengths of another size': (mask(runs(np.ones((3, 4)))), 'run lengths.*10'),
    'cut run lengths': (mask(runs(counts='0P')), 'run lengths.*annotation 10'),
    'run lengths too short': (mask(runs(counts=[3, 4])), 'run lengths.*annotation 10'),
    'negative run lengths': (mask(runs(counts=[-1, HEIGHT * WIDTH + 1])), 'run lengths.*annotation 10'),
    'run lengths of no text': (mask(runs(counts=None)), 'run lengths.*annotation 10'),
    'a broken mask of a crowd': (first('annotations', iscrowd=1, segmentation=[]), 'without a mask.*annotation 10'),
    'iscrowd as text': (first('annotations', iscrowd='0'), "neither 0 nor 1 .*annotation 10 iscrowd '0'"),
    'iscrowd null': (first('annotations', iscrowd=None), 'neither 0 nor 1 .*annotation 10 iscrowd None'),
    'iscrowd 2': (first('annotations', iscrowd=2), 'neither 0 nor 1 .*annotation 10 iscrowd 2'),
    'ignore as text': (first('annotations', ignore='0'), "neither 0 nor 1 .*annotation 10 ignore '0'"),
    'nothing': (lambda content: content['annotations'].clear(), 'nothing to train on'),
    'only crowds': (each_annotation(iscrowd=1), 'nothing to train on'),
    'only ignored objects': (each_annotation(ignore=1), 'nothing to train on'),
}
LEFT_OUT = {
    'no width': (first('annotations', bbox=[1, 2, 0, 4]), 'under a pixel.*annotation 10'),
    'negative height': (first('annotations', bbox=[1, 2, 3, -4]), 'negative.*annotation 10'),
    'outside': (first('annotations', bbox=[WIDTH + 1, 2, 3, 4]), 'wholly outside.*annotation 10'),
    'no area': (first('annotations', area=0), 'areas of zero.*annotation 10'),
    'four numbers': (mask([[1, 2, 3, 4]]), 'fewer than six.*annotation 10'),
    'an odd number': (mask([[1, 2, 3, 4, 5, 6, 7]]), 'odd number.*annotation 10'),
    'an image that is not listed': (first('annotations', image_id=99), 'annotation 10 image_id 99'),
}
# What pycocotools computes no scores by, or wrong ones.
IDS = {
    'an annotation of id 0': (renamed('annotations', 'id', 10, 0), 'annotations of id 0 .*annotations id 0.* from 1'),
    'of id 0.0': (renamed('annotations', 'id', 10, 0.0), 'annotations of id 0 .*annotations id 0.0.* from 1'),
    'an annotation id as text': (renamed('annotations', 'id', 10, 'a1'), "no finite numbers.*annotations id 'a1'"),
    'an annotation id of 400 digits': (renamed('annotations', 'id', 10, HUGE), 'no finite.*annotations id 1000'),
    'an image id as text': (renamed('images', 'image_id', 0, '7'), "text beside numbers.*images id '7'"),
    'a category id as text': (renamed('categories', 'category_id', 1, '1'), "text beside.*categories id '1'"),
    'an image id that is rounded': (renamed('images', 'image_id', 0, 2**63 + 1), f'rounds.*images id {2**63 + 1}'),
}
FLAGS = {
    'iscrowd as text': (each_annotation(iscrowd='0'), "neither 0 nor 1 .*iscrowd '0'"),
    'iscrowd null': (each_annotation(iscrowd=None), 'neither 0 nor 1 .*iscrowd None'),
}
MORE_OF_SCORES = {
    'no iscrowd': (without('annotations', 'iscrowd'), "has no 'iscrowd'"),
    'a short polygon': (mask([[1, 2, 3, 4]]), 'scores of masks cannot be computed'),
}
SCORED_AS_A_WHOLE = {
    'as it is': lambda content: None,
    'image ids as text': lambda content: [renamed('images', 'image_id', i, f'image {i}')(content) for i in range(3)],
    'a fraction as image id': renamed('images', 'image_id', 0, 7.5),
    'large numbers': lambda content: [renamed('images', 'image_id', i, 2**63 + i)(content) for i in range(3)],
    'annotation ids below 0': renamed('annotations', 'id', 10, -1),
}


def harmed(root, change):
    return write_coco(root, changed(change))


def perfect_score(path):
    """The average precision of a detector that finds each object where it is annotated, and of how many objects."""
    with contextlib.redirect_stdout(None):
        truth = COCO(path)
        annotations = json.loads(path.read_text())['annotations']
        found = [{key: entry[key] for key in ('image_id', 'category_id', 'bbox')} for entry in annotations]
        scores = COCOeval(truth, truth.loadRes([entry | {'score': 1.0} for entry in found]), 'bbox')
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    objects = [image['gtIds'] for image in scores.evalImgs if image and image['aRng'] == scores.params.areaRng[0]]
    return scores.stats[0], sum(map(len, objects))


def test_what_stops_a_run_is_refused_by_name(tmp_path):
    expect_answers(STOPPING, harmed, tmp_path, 'train.json')


def test_what_training_leaves_out_is_said_and_left_out(tmp_path):
    """The data set as training builds it has one object less, or ignores one."""
    expect_answers(LEFT_OUT, harmed, tmp_path, 'train.json', Outcome.LEFT_OUT)
    for number, name in enumerate(LEFT_OUT):
        loaded = DATASETS.build(harmed(tmp_path / str(number), LEFT_OUT[name][0]))
        ignored = [loaded[i]['gt_ignore_flags'].tolist() for i in range(3)]
        assert sum(flags == [False] for flags in ignored) == 2, name


def test_what_scores_go_wrong_by_is_refused_by_name(tmp_path):
    faults = IDS | FLAGS | MORE_OF_SCORES
    expect_answers(faults, harmed, tmp_path, 'train.json', loader='val_dataloader')


def test_what_is_refused_gives_no_score_or_a_wrong_one(tmp_path):
    for name, (change, _) in (IDS | FLAGS).items():
        harmed(tmp_path, change)
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            score, objects = perfect_score(tmp_path / 'train.json')
            assert score < 0.99 or objects < len(NAMES), name


def test_what_is_let_pass_is_scored_as_a_whole(tmp_path):
    for name, change in SCORED_AS_A_WHOLE.items():
        assert not look(harmed(tmp_path, change), 'val_dataloader').found, name
        assert perfect_score(tmp_path / 'train.json') == pytest.approx((1, len(NAMES))), name


def test_training_bears_what_scores_do_not(tmp_path):
    for name, (change, _) in IDS.items():
        assert not look(harmed(tmp_path, change)).found, name


def test_a_whole_set_gives_no_complaint(tmp_path):
    """With masks of all kinds, with crowds and ignored objects, trained on and scored."""
    content = changed(mask(runs()))
    content['annotations'][1]['segmentation'] = runs(counts=[100, 50, HEIGHT * WIDTH - 150])
    report = look(write_coco(tmp_path, content))
    assert not report.found
    assert not report.notes
    for flags in ({'iscrowd': True}, {'iscrowd': 1, 'ignore': 0}, {'ignore': 1}, {'ignore': None}, {'iscrowd': False}):
        for loader in ('train_dataloader', 'val_dataloader'):
            assert not look(harmed(tmp_path, first('annotations', **flags)), loader).found, (flags, loader)


def test_masks_are_not_asked_for_where_none_are_loaded(tmp_path):
    settings = harmed(tmp_path, without('annotations', 'segmentation'))
    settings['pipeline'] = [{'type': 'LoadAnnotations', 'with_bbox': True}]
    assert not look(settings).found


def test_boxes_over_the_edge_are_clipped_by_resizing(tmp_path):
    change = first('annotations', bbox=[-5, 3, 20, 12])
    expect_answers({'edge': (change, 'partly outside')}, harmed, tmp_path, 'train.json', Outcome.REPAIRED)
    settings = harmed(tmp_path, change)
    settings['pipeline'].append({'type': 'Resize', 'scale': (WIDTH, HEIGHT)})
    assert DATASETS.build(settings)[0]['gt_bboxes'].tensor.tolist() == [[0, 3, 15, 15]]


def test_a_file_that_is_no_json_is_refused_by_name(tmp_path):
    whole = json.dumps(coco_content()).encode()
    files = {
        'files of 0 bytes': b'',
        'not valid JSON': whole[:-40],
        'not valid JSON .*Expecting value': b'filename,width,class\na.jpg,40,cat\n',
        'not valid JSON .*recursion': b'[' * 100_000,
        'not valid JSON .*BOM': b'\xef\xbb\xbf' + whole,
        'not valid JSON in UTF-8': json.dumps(coco_content()).encode('utf-16'),
        'not valid JSON .*4300 digits': b'{"images": ' + b'1' * 5000 + b'}',
        'no object': b'[]',
        'no regular files': None,
    }

    def with_file(root, content):
        settings = write_coco(root)
        if content is None:
            pipe(root / 'train.json')
        else:
            (root / 'train.json').write_bytes(content)
        return settings

    expect_answers({words: (content, words) for words, content in files.items()}, with_file, tmp_path, 'train.json')


def test_without_annotations_there_is_nothing_to_score_against(tmp_path):
    report = look(harmed(tmp_path, lambda content: content.pop('annotations')), 'test_dataloader')
    assert not report.found
    assert 'nothing to score against' in report.notes[0]


def test_several_faults_are_told_together_with_their_number(tmp_path):
    content = changed(each_annotation(bbox=[1, 2, NAN, 4]))
    content['images'][0]['width'] = 0
    sentences = look(write_coco(tmp_path, content)).format_sentences(Outcome.STOPS)
    assert len(sentences) == 3
    assert any('no finite numbers (2 of them: ' in sentence for sentence in sentences)


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
    if not look(dataset).format_sentences(Outcome.STOPS):
        loaded = DATASETS.build(dataset)
        assert all(loaded[number] is not None for number in range(len(loaded)))


MASKS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1))


@given(MASKS)
def test_run_lengths_are_those_that_pycocotools_writes_and_no_others(mask):
    whole = runs(mask)
    assert is_whole(whole, *mask.shape)
    assert not is_whole(whole | {'counts': whole['counts'][:-1]}, *mask.shape)
    edges = np.flatnonzero(np.diff(mask.ravel(order='F'), prepend=0)).tolist()
    assert decompressed(whole['counts']) == np.diff([0, *edges, mask.size]).tolist()


def test_run_lengths_of_any_length_are_read_and_what_is_none_is_not():
    """Numbers of six characters, as runs of 16,777,216 pixels and more take, wherever they stand."""
    for lengths in ([2**29 - 1, 1], [1, 2**29 - 1], [0, 2**24, 5, 2**24]):
        counts = coco_mask.frPyObjects({'size': [1, sum(lengths)], 'counts': lengths}, 1, sum(lengths))['counts']
        assert decompressed(counts.decode()) == lengths
    for string in ('', 'P', '0P', 'é', '~', ' ', 'PPPPPPPP0'):
        assert decompressed(string) is None, string
    for counts, is_one in {(4, 2): True, (0, 6): True, (4, 1): False, (7, -1): False, (5.0, 1): False}.items():
        assert is_whole({'size': [2, 3], 'counts': list(counts)}, 2, 3) == is_one, counts


def test_images_that_training_passes_over_are_those_that_the_host_filters_out(tmp_path):
    content = coco_content()
    content['annotations'].pop()
    content['images'][0]['width'] = 8
    for filter_cfg, empty, small in (
        ({}, 0, 0),
        ({'filter_empty_gt': True}, 1, 0),
        ({'filter_empty_gt': True, 'min_size': 9}, 1, 1),
        ({'min_size': 9}, 0, 1),
    ):
        dataset = {**write_coco(tmp_path, content), 'filter_cfg': filter_cfg}
        expected = {'without an object': empty, 'under min_size': small}
        assert look(dataset).passed_over == expected, filter_cfg
        assert len(DATASETS.build(dataset)) == len(NAMES) - empty - small, filter_cfg
        assert not look(dataset, 'val_dataloader').passed_over
