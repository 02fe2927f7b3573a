"""The trained weights that come with the demo's configs are what their table says."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmgcvit import load
from mmgcvit.evaluation.detection_curves import compute_detection_curves
from mmgcvit.evaluation.scoring import compute_confusion_matrix
from mmgcvit.files import compute_sha256
from mmgcvit.inference.results import Detections

from ..photos import make_photo
from ..programs import ROOT
from ..tools.commands import TOOLS, call
from .models import read

DEMO = ROOT / 'configs' / 'demo'
WEIGHTS = DEMO / 'weights'
ROW = re.compile(r'^\| `(?P<name>\w+)` \|(?P<cells>.*)\| `(?P<digest>[0-9a-f]{64})` \|$', re.M)
ROWS = {row['name']: row for row in ROW.finditer((WEIGHTS / 'README.md').read_text())}
CONFIGS = sorted(ROWS)
# The names of the table's scores in the log.
SCORES = {'top-1': 'accuracy/top1', 'box mAP': 'coco/bbox_mAP', 'mask mAP': 'coco/segm_mAP'}


def test_shipped_weights_match_the_table_and_load_with_their_config():
    assert sorted(path.stem for path in WEIGHTS.glob('*.safetensors')) == CONFIGS
    assert sum(path.stat().st_size for path in WEIGHTS.glob('*.safetensors')) < 25_000_000
    for name in CONFIGS:
        path, digest = WEIGHTS / f'{name}.safetensors', ROWS[name]['digest']
        assert compute_sha256(path) == digest
        assert Path(f'{path}.sha256').read_text().startswith(f'{digest} ')
        model = load(DEMO / f'{name}.py', device='cpu')
        assert model.checkpoint == str(path)
        assert model.classes == [*read(f'demo/{name}').metainfo.classes]


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """The demo's images to validate on, which are the same whatever is trained on."""
    folder = tmp_path_factory.mktemp('data') / 'digits'
    call('', ROOT / 'tools' / 'make_digits.py', folder, '--train', 1)
    return folder


@pytest.mark.long
def test_the_networks_of_objects_have_the_scores_of_the_table_on_photos():
    """On those of tests/photos.py, with all their objects as one class."""
    detector = load(DEMO / 'mask_rcnn_gcvit_objects.py', device='cpu', score_thr=0.0)
    segmentor = load(DEMO / 'upernet_gcvit_objects.py', device='cpu')
    ground_truths, predictions, matrix = [], [], np.zeros((3, 3), int)
    for photo in map(make_photo, range(60)):
        image = photo.image[..., ::-1]
        outlines = [outline for _, outline in photo.objects]
        boxes = np.array([[*outline.min(0), *outline.max(0)] for outline in outlines], np.float32)
        scores, labels = np.ones(len(boxes)), np.zeros(len(boxes), int)
        names = detector.classes * len(boxes)
        ground_truths.append(Detections(boxes, scores, labels, names))
        predictions.append(detector(image))
        label_map = np.zeros(image.shape[:2], np.int32)
        cv2.fillPoly(label_map, [outline.round().astype(int) for outline in outlines], 1)
        predicted = segmentor(image).label_map
        matrix += compute_confusion_matrix(label_map.ravel(), predicted.ravel(), 2)
    intersection = np.diag(matrix)[:2]
    iou = intersection / ((matrix.sum(0) + matrix.sum(1))[:2] - intersection)
    computed = {
        'mask_rcnn_gcvit_objects': compute_detection_curves(ground_truths, predictions, 1).ap[0],
        'upernet_gcvit_objects': 100 * iou.mean(),
    }
    for name, score in computed.items():
        published = re.search(r'm[A-z]+ ([\d.]+)', ROWS[name]['cells'])[1]
        assert score == pytest.approx(float(published), rel=0.02)


@pytest.mark.long
@pytest.mark.parametrize('name', [name for name in CONFIGS if 'digits' in name])
def test_shipped_weights_reach_the_scores_of_the_table(name, scenes, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'digits').symlink_to(scenes)
    weights, options = WEIGHTS / f'{name}.safetensors', ['--work-dir', 'scored', '--device', 'cpu']
    call(scenes, TOOLS / 'test.py', DEMO / f'{name}.py', weights, *options, folder=tmp_path)
    cell = ROWS[name]['cells'].split('|')[1].strip()
    published = re.findall(r'([\w -]+?) ([\d.]+)(?:,| %|$)', cell)
    assert published
    (log,) = (tmp_path / 'scored').glob('*/*.json')
    for score, value in published:
        reached = json.loads(log.read_text())[SCORES.get(score.strip(), 'mIoU')]
        # Other processors round otherwise: an object at a threshold, a pixel at a rim.
        assert reached == pytest.approx(float(value), rel=0.01)
