"""One pass over a data set, for each task."""

import io
import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mmgcvit.engine.progress import Display
from mmgcvit.inference import UserError
from mmgcvit.inference.loading import read_config
from mmgcvit.visualization.mistakes import find_mistakes, truths_of
from mmgcvit.visualization.mistakes.confusion import Confusion, objects
from mmgcvit.visualization.mistakes.finding import COUNTED
from mmgcvit.visualization.mistakes.judging import judge

from ...inference.conftest import CLASSES, TASKS
from .conftest import PER_CLASS


def found_by(model, truths, worst=3, batch_size=2):
    return find_mistakes(model, truths, worst, batch_size, Display(io.StringIO()))


def truths_by_files(data, task):
    """How often each class is there, counted without any of the hosts."""
    if task == 'detection':
        content = json.loads((data / 'coco/annotations/instances_val2017.json').read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        return Counter(CLASSES[task].index(names[entry['category_id']]) for entry in content['annotations'])
    if task == 'segmentation':
        maps = sorted((data / 'ADEChallengeData2016/annotations/validation').iterdir())
        pixels = np.concatenate([np.asarray(Image.open(path)).reshape(-1) for path in maps])
        return Counter((pixels[pixels > 0] - 1).tolist())
    return Counter(dict.fromkeys(range(10), PER_CLASS))


def test_rows_sum_to_what_the_files_hold(model, truths, data, task):
    found = found_by(model, truths)
    rows = {row: count for row, count in enumerate(found.confusion.counts.sum(1).tolist()) if count}
    rows.pop(len(CLASSES[task]), None)
    assert rows == truths_by_files(data, task)
    assert found.images == len(truths)
    assert found.failed == []


def test_batches_change_nothing(model, truths):
    one, many = (found_by(model, truths, batch_size=size) for size in (1, 3))
    assert [judged.number for judged in one.worst] == [judged.number for judged in many.worst]
    assert np.abs(one.confusion.counts - many.confusion.counts).sum() <= 0.001 * one.confusion.counts.sum()


def test_the_worst_are_those_of_all(model, truths):
    """As sorting all verdicts gives them, of equal ones the first images."""
    every = found_by(model, truths, worst=len(truths)).worst
    order = sorted(every, key=lambda judged: (judged.verdict.score, -judged.verdict.mistakes, judged.number))
    assert [judged.number for judged in every] == [judged.number for judged in order]
    assert [judged.number for judged in found_by(model, truths, worst=2).worst] == [j.number for j in order[:2]]


def test_the_truth_itself_is_without_mistakes(model, truths, task):
    confusion = Confusion(model.classes, 'all') if task in COUNTED else objects(model.classes)
    for number in range(len(truths)):
        info = truths.info(number)
        truth = truths.truth(info, truths.image(info))
        assert judge(truth, truth, confusion)[:2] == (1.0, 0)
    assert confusion.right == 1.0


def test_a_damaged_image_is_named_and_the_rest_goes_on(model, truths, task, monkeypatch, tmp_path):
    path = truths.info(1)['img_path']
    whole = tmp_path / 'whole'
    shutil.copy(path, whole)
    screen = io.StringIO()
    try:
        with open(path, 'r+b') as file:  # noqa: PTH123
            file.truncate(100)
        found = find_mistakes(model, truths, 3, 2, Display(screen))
    finally:
        shutil.copy(whole, path)
    assert found.images == len(truths) - 1
    assert len(found.failed) == 1
    assert found.failed[0].startswith(f'{path} cannot be read')
    assert f'skipped: {path} cannot be read' in screen.getvalue()


def test_a_data_set_of_other_classes_is_refused(models, work_dirs):
    cfg = read_config(work_dirs['detection'] / f'{TASKS["detection"]}.py')
    cfg.val_dataloader.dataset.metainfo = {'classes': ('0', '1')}
    with pytest.raises(UserError, match='2 classes, the model 10'):
        truths_of(cfg, 'val_dataloader', models['detection'])


def test_a_data_set_that_cannot_be_loaded_is_a_sentence(models, work_dirs):
    cfg = read_config(work_dirs['detection'] / f'{TASKS["detection"]}.py')
    cfg.val_dataloader.dataset.ann_file = 'nowhere.json'
    with pytest.raises(UserError, match=r'val_dataloader cannot be loaded.*check-data'):
        truths_of(cfg, 'val_dataloader', models['detection'])
