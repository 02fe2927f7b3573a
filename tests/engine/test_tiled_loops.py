"""A run on tiles is tested as it predicts: on whole images, by the tiles and the merge of ``predict --tiles``."""

import json
import pickle

import cv2
import numpy as np
import pytest
from scipy.ndimage import find_objects

from mmgcvit import load

from ..inference.large_images import DEMO, page_of
from ..tools.commands import call

SIDE = 256


@pytest.mark.slow
def test_the_test_of_a_run_on_tiles_has_the_objects_that_are_predicted(tmp_path):
    categories = [{'id': number + 1, 'name': str(number)} for number in range(10)]
    content = {'images': [], 'annotations': [], 'categories': categories}
    for number, size in enumerate([(400, 500), (200, 250)]):
        image, digits, numbers = page_of(*size)
        cv2.imwrite(str(tmp_path / f'{number}.png'), image)
        content['images'].append({'id': number, 'file_name': f'{number}.png', 'width': size[1], 'height': size[0]})
        for digit, (rows, columns) in zip(digits, find_objects(numbers), strict=True):
            box = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
            polygon = [[columns.start, rows.start, columns.stop, rows.start, columns.stop, rows.stop]]
            annotation = {'id': len(content['annotations']) + 1, 'image_id': number, 'category_id': int(digit) + 1}
            annotation |= {'bbox': box, 'area': box[2] * box[3], 'iscrowd': 0, 'segmentation': polygon}
            content['annotations'].append(annotation)
    (tmp_path / 'all.json').write_text(json.dumps(content))
    config = tmp_path / 'tiles.py'
    config.write_text(f"""_base_ = {str(DEMO / 'mask_rcnn_gcvit_digits.py')!r}
test_cfg = dict(_delete_=True, type='mmgcvit.TiledTestLoop', side={SIDE})
data = dict(data_root={f'{tmp_path}/'!r}, ann_file='all.json', data_prefix=dict(img=''))
test_dataloader = dict(dataset=data)
test_evaluator = dict(ann_file={str(tmp_path / 'all.json')!r})
""")
    weights = DEMO / 'weights' / 'mask_rcnn_gcvit_digits.safetensors'
    options = '--work-dir', tmp_path / 'run', '--out', tmp_path / 'out.pkl', '--device', 'cpu'
    output = call('', '-m', 'mmgcvit', 'test', config, weights, *options)
    assert 'coco/segm_mAP' in output
    model = load(config, weights, 'cpu', score_thr=0.0)
    samples = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    for number, sample in enumerate(samples):
        expected, found = model(str(tmp_path / f'{number}.png')), sample['pred_instances']
        assert len(expected.boxes) > 3
        np.testing.assert_allclose(found['bboxes'], expected.boxes, atol=1e-3)
        np.testing.assert_array_equal(found['labels'], expected.labels)
        assert len(found['masks']) == len(expected.boxes)
        plain = load(DEMO / 'mask_rcnn_gcvit_digits.py', weights, 'cpu', score_thr=0.0)
        explicit = plain(str(tmp_path / f'{number}.png'), tiles=SIDE)
        np.testing.assert_allclose(expected.boxes, explicit.boxes, atol=1e-3)
    assert len(plain(str(tmp_path / '0.png')).boxes) != len(model(str(tmp_path / '0.png')).boxes)
