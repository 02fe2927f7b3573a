"""A run on tiles is tested as it predicts: on whole images, by the tiles and the merge of ``predict
--tiles``.
"""

import pickle
import re

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmgcvit import load
from tools.make_digits import SceneComposer, write_coco

from ..tools.commands import DEMO, call

SIDE = 256


@pytest.mark.slow
def test_the_test_of_a_run_on_tiles_has_the_objects_that_are_predicted(tmp_path):
    write_coco(tmp_path, [next(iter(SceneComposer('val', size))) for size in (400, 200)], 'val')
    annotations = str(tmp_path / 'annotations' / 'instances_val2017.json')
    config = tmp_path / 'tiles.py'
    config.write_text(f"""_base_ = {str(DEMO / 'mask_rcnn_gcvit_digits.py')!r}
test_cfg = dict(_delete_=True, type='mmgcvit.TiledTestLoop', side={SIDE})
test_dataloader = dict(dataset=dict(data_root={f'{tmp_path}/'!r}))
test_evaluator = dict(ann_file={annotations!r})
""")
    weights = DEMO / 'weights' / 'mask_rcnn_gcvit_digits.safetensors'
    outputs = ['--out', tmp_path / 'out.pkl', '--show-dir', tmp_path / 'drawn']
    command = ['test', config, weights, '--device', 'cpu', '--work-dir', tmp_path / 'run']
    printed = call('', '-m', 'mmgcvit', *command, *outputs)
    assert float(re.search(r'coco/segm_mAP: ([0-9.]+)', printed)[1]) > 0
    assert len(list((tmp_path / 'drawn').iterdir())) == 2
    tiled, whole = (
        load(name, weights, 'cpu', 0.0) for name in (config, DEMO / 'mask_rcnn_gcvit_digits.py')
    )
    for sample in pickle.loads((tmp_path / 'out.pkl').read_bytes()):
        image = sample['img_path']
        found = sample['pred_instances']
        for expected in (tiled(image), whole(image, tiles=SIDE)):
            assert len(expected.boxes) > 3
            np.testing.assert_allclose(found['bboxes'], expected.boxes, atol=1e-3)
            np.testing.assert_array_equal(found['labels'], expected.labels)
            # Arrays of the masks of large images would not fit in memory.
            masks = coco_mask.decode(found['masks']).transpose(2, 0, 1).astype(bool)
            assert (masks != np.stack([*expected.masks])).mean() < 1e-4
        is_whole = np.array_equal(whole(image).boxes, expected.boxes)
        assert is_whole == (max(sample['ori_shape']) <= SIDE)
