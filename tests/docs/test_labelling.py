"""The loop of docs/labelling.md runs as it is written there, with fewer pictures and epochs, and with
ground truth in place of the person who corrects.

Modules: `docs/labelling.md`.
"""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmgcvit import load

from ..coco import make_annotation, make_content, make_image
from ..photos import CLASSES, make_photo, write_yolo
from .pages import SHELLS, find_blocks, split_commands
from .running import run_command

PAGE = 'docs/labelling.md'
NUM_FIRST, NUM_UNLABELLED, NUM_NEXT, NUM_UNSEEN = 12, 8, 3, 16
TRAINING = '--task detect --size mini --image-size 192 --workers 0 --epochs'
# What the second training may lose in AP50 of unseen pictures: so few epochs and pictures vary by
# this. A training on wrong labels, or that begins anew, loses more.
MARGIN = 0.1
AP_50 = 1  # its position in COCOeval.stats


def run(folder, command, epochs=None):
    """Run a command of the page in a folder, shortened, and return what it prints."""
    command = command.replace(' next 20', f' next {NUM_NEXT}')
    if command.startswith('mmgcvit train'):
        command += f' {TRAINING} {epochs}'
    return run_command(folder, f'{command} --device cpu')


def move_on(command):
    """Return a command of the page in the round after it, as the page says: with the next run, a new
    folder for ``next`` and for ``to_correct``, and one more ``--data``.
    """
    command = command.replace('/round2', '/round3').replace('/round1', '/round2')
    if command.startswith('mmgcvit train'):
        return command.replace('--data to_correct', '--data to_correct --data to_correct2')
    for name in (' next', ' to_correct', ' predicted'):
        command = command.replace(name, f'{name}2')
    return command


def make_true_content(photos):
    """Return the ground truth of photos as the content of a COCO file."""
    images = []
    annotations = []
    for number, photo in enumerate(photos, start=1):
        height, width = photo.image.shape[:2]
        images.append(make_image(number, f'{photo.stem}.jpg', width, height))
        for label, polygon in photo.objects:
            box = [*polygon.min(0).tolist(), *np.ptp(polygon, axis=0).tolist()]
            annotations.append(
                make_annotation(len(annotations) + 1, number, label + 1, box, iscrowd=0)
            )
    return make_content(images, annotations, {name: id for id, name in enumerate(CLASSES, 1)})


def write_correction(folder, photos, uncorrected=()):
    """Replace the labels in a folder of ``predict --labels`` with the ground truth, as in CVAT's
    export of the corrected task: with other ids and keys, and pictures as in the folder. Those in
    ``uncorrected`` keep the labels of the model.
    """
    path = folder / 'annotations' / 'instances_train.json'
    written = json.loads(path.read_text())
    names = [image['file_name'] for image in written['images']]
    corrected = [photo for photo in photos if f'{photo.stem}.jpg' in {*names} - {*uncorrected}]
    content = make_true_content(corrected)
    categories = {category['id']: category['name'] for category in written['categories']}
    ids = {category['name']: category['id'] for category in content['categories']}
    for image in written['images']:
        if image['file_name'] in uncorrected:
            content['images'].append({**image, 'id': len(content['images']) + 1})
            for each in written['annotations']:
                if each['image_id'] == image['id']:
                    content['annotations'].append(
                        make_annotation(
                            len(content['annotations']) + 1,
                            len(content['images']),
                            ids[categories[each['category_id']]],
                            each['bbox'],
                            iscrowd=0,
                        )
                    )
    for each in content['annotations']:
        each['attributes'] = {'occluded': False}
    path.write_text(json.dumps({'licenses': [], 'info': {}, **content}))


def list_trained(run_folder):
    """Return the names of the pictures of each split that a run has read."""
    return {
        split: {
            image['file_name'].rpartition('/')[2]
            for image in json.loads((run_folder / 'made' / f'{split}.json').read_text())['images']
        }
        for split in ('train', 'val')
    }


def read_suggestions(path):
    """Return the names of the ranked pictures, and their distances."""
    with path.open(encoding='utf-8-sig', newline='') as file:
        rows = [*csv.DictReader(file)]
    assert [int(row['rank']) for row in rows] == [*range(1, len(rows) + 1)]
    return {row['file_name'].rpartition('/')[2]: float(row['distance']) for row in rows}


def compute_ap50(run_folder, photos):
    """Compute the AP50 of a run on photos, with COCO's API."""
    model = load(run_folder, device='cpu', score_thr=0.01)
    true = COCO()
    true.dataset = make_true_content(photos)
    true.createIndex()
    results = []
    for number, photo in enumerate(photos, start=1):
        for found in model(photo.image[..., ::-1]):
            left, top, right, bottom = found.box.tolist()
            results.append(
                {
                    'image_id': number,
                    'category_id': CLASSES.index(found.class_name) + 1,
                    'bbox': [left, top, right - left, bottom - top],
                    'score': found.score,
                }
            )
    evaluation = COCOeval(true, true.loadRes(results), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[AP_50]


@pytest.mark.long
def test_the_loop_trains_on_what_was_corrected_and_ends_no_worse_than_it_began(tmp_path):
    """Labels that nobody corrected are neither trained on nor validated; what was corrected is read;
    suggestions are new pictures first, and those that were labelled last.
    """
    photos = [make_photo(number) for number in range(NUM_FIRST + NUM_UNLABELLED)]
    unseen = [make_photo(number) for number in range(40, 40 + NUM_UNSEEN)]
    write_yolo(tmp_path / 'first', photos[:NUM_FIRST])
    (tmp_path / 'unlabelled').mkdir()
    for photo in photos[NUM_FIRST:]:
        Image.fromarray(photo.image).save(tmp_path / 'unlabelled' / f'{photo.stem}.jpg')
    first_block, order_block = find_blocks(PAGE, *SHELLS)
    train, suggest, predict, train_on_both = split_commands(first_block.text)

    run(tmp_path, train, epochs=6)
    run(tmp_path, suggest)
    ranked = read_suggestions(tmp_path / 'suggestions' / 'suggestions.csv')
    assert {*ranked} == {path.name for path in (tmp_path / 'unlabelled').iterdir()}
    chosen = [*ranked][:NUM_NEXT]
    assert {path.name for path in (tmp_path / 'next').iterdir()} == {*chosen}
    assert ranked[chosen[0]] > 0
    run(tmp_path, predict)

    refused = run_command(
        tmp_path, f'mmgcvit train --data to_correct {TRAINING} 1 --work-dir work_dirs/r', fails=True
    )
    assert 'nobody has corrected' in refused
    assert not (tmp_path / 'work_dirs' / 'r').exists()
    write_correction(tmp_path / 'to_correct', photos, uncorrected=chosen[-1:])
    printed = run(tmp_path, train_on_both, epochs=6)
    assert '1 uncorrected, 2 corrected' in printed
    used = list_trained(tmp_path / 'work_dirs' / 'round2')
    corrected = {*chosen[:-1]}
    assert {f'{photo.stem}.jpg' for photo in photos[:NUM_FIRST]} | corrected == (
        used['train'] | used['val']
    )
    scores = [compute_ap50(tmp_path / 'work_dirs' / name, unseen) for name in ('round1', 'round2')]
    assert scores[1] > scores[0] - MARGIN, scores

    run(tmp_path, move_on(suggest))
    again = read_suggestions(tmp_path / 'suggestions2' / 'suggestions.csv')
    # Those of the validation are not training pictures.
    known = corrected & used['train']
    assert {*[*again][len(again) - len(known) :]} == known
    assert all(again[name] == 0 for name in known)
    run(tmp_path, move_on(predict))
    write_correction(tmp_path / 'to_correct2', photos)
    run(tmp_path, move_on(train_on_both), epochs=1)
    used = list_trained(tmp_path / 'work_dirs' / 'round3')
    new = {path.name for path in (tmp_path / 'next2').iterdir()}
    assert new | corrected <= used['train'] | used['val']
    assert chosen[-1] in new or chosen[-1] not in used['train'] | used['val']

    (order,) = split_commands(order_block.text)
    run(tmp_path, order)
    assert (tmp_path / 'ranked' / 'suggestions.jpg').is_file()
