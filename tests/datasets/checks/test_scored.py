"""Files in COCO's format that scores are computed from: what pycocotools gets wrong is refused, and nothing else."""

import contextlib
import json
import re

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .made import NAMES, coco_content, look, refusal, write_coco


def renamed(name, key, old, new):
    """A change of an id of images, annotations or categories, and of what refers to it."""

    def change(content):
        for entry in content[name]:
            entry['id'] = new if entry['id'] == old else entry['id']
        for annotation in content['annotations']:
            annotation[key] = new if annotation[key] == old else annotation[key]

    return change


def image_id(new, old=0):
    return renamed('images', 'image_id', old, new)


def category_id(new):
    return renamed('categories', 'category_id', 1, new)


def annotation_id(new):
    return renamed('annotations', 'id', 10, new)


def crowds(value):
    def change(content):
        for annotation in content['annotations']:
            annotation['iscrowd'] = value

    return change


DETECTED = ('image_id', 'category_id', 'bbox')
IDS = {
    'an annotation of id 0': (annotation_id(0), 'annotations of id 0 .*annotations id 0.* from 1'),
    'an annotation of id 0.0': (annotation_id(0.0), 'annotations of id 0 .*annotations id 0.0.* from 1'),
    'an annotation id as text': (annotation_id('a1'), "no finite numbers.*annotations id 'a1'"),
    'an annotation id of 400 digits': (annotation_id(10**400), 'no finite numbers.*annotations id 1000'),
    'an image id as text beside numbers': (image_id('7'), "text beside numbers.*images id '7'"),
    'a category id as text beside numbers': (category_id('1'), "text beside numbers.*categories id '1'"),
    'an image id that is rounded beside others': (image_id(2**63 + 1), f'rounds.*images id {2**63 + 1}'),
}
FLAGS = {
    'iscrowd as text': (crowds('0'), "neither 0 nor 1 .*iscrowd '0'"),
    'iscrowd null': (crowds(None), 'neither 0 nor 1 .*iscrowd None'),
}
REFUSED = IDS | FLAGS
LET_PASS = {
    'as it is': lambda content: None,
    'image ids as text': lambda content: [image_id(f'image {i}', i)(content) for i in range(len(NAMES))],
    'a fraction as image id': image_id(7.5),
    'large numbers': lambda content: [image_id(2**63 + i, i)(content) for i in range(len(NAMES))],
    'annotation ids below 0': annotation_id(-1),
}


def changed(change):
    content = coco_content()
    change(content)
    return content


def perfect_score(path):
    """The average precision of a detector that finds each object where it is annotated, and of how many objects."""
    with contextlib.redirect_stdout(None):
        truth = COCO(path)
        annotations = json.loads(path.read_text())['annotations']
        found = [{key: entry[key] for key in DETECTED} | {'score': 1.0} for entry in annotations]
        scores = COCOeval(truth, truth.loadRes(found), 'bbox')
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    objects = [image['gtIds'] for image in scores.evalImgs if image and image['aRng'] == scores.params.areaRng[0]]
    return scores.stats[0], sum(map(len, objects))


@pytest.mark.parametrize('name', REFUSED)
def test_what_scores_go_wrong_by_is_refused_by_name(name, tmp_path):
    change, words = REFUSED[name]
    sentence = refusal(write_coco(tmp_path, changed(change)), 'val_dataloader')
    assert sentence.startswith(f'{tmp_path}/train.json: ')
    assert re.search(words, sentence), sentence


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_refused_gives_no_score_or_a_wrong_one(name, tmp_path):
    write_coco(tmp_path, changed(REFUSED[name][0]))
    try:
        score, objects = perfect_score(tmp_path / 'train.json')
    except (TypeError, ValueError, OverflowError):
        return
    assert score < 0.99 or objects < len(NAMES)


@pytest.mark.parametrize('name', IDS)
def test_training_bears_the_same_ids(name, tmp_path):
    assert not look(write_coco(tmp_path, changed(IDS[name][0]))).found


@pytest.mark.parametrize('name', LET_PASS)
def test_what_is_let_pass_is_scored_as_a_whole(name, tmp_path):
    assert not look(write_coco(tmp_path, changed(LET_PASS[name])), 'val_dataloader').found
    assert perfect_score(tmp_path / 'train.json') == pytest.approx((1, len(NAMES)))
