"""A run on tiles is tested as it predicts: on whole images, by the tiles and the merge of ``predict
--tiles``.
"""

import pickle
import re

import cv2
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


@pytest.mark.slow
def test_a_run_on_tiles_of_maps_is_scored_and_predicted_on_whole_images(tmp_path):
    """Its images are larger than a tile in both directions, in one, or in none; half of the pixels
    of one have no label, and another has one labelled row, so that most tiles of it have none: no
    loss and no score is NaN.
    """
    data = tmp_path / 'data'
    random = np.random.default_rng(0)
    sizes = [(90, 130), (90, 40), (50, 40), (4, 200), (64, 64), (80, 80)]
    for split in ('train', 'val'):
        for name in ('images', 'masks'):
            (data / name / split).mkdir(parents=True)
        for index, size in enumerate(sizes):
            label_map = np.zeros(size, np.uint8)
            label_map[:, size[1] // 2 :] = 1
            image = random.integers(0, 60, (*size, 3)) + 120 * label_map[..., None]
            if index == 4:
                label_map[: size[0] // 2] = 255
            if index == 5 and split == 'train':
                label_map[1:] = 255
            cv2.imwrite(str(data / 'images' / split / f'{index}.png'), image.astype(np.uint8))
            cv2.imwrite(str(data / 'masks' / split / f'{index}.png'), label_map)
    run = tmp_path / 'run'
    command = ['train', '--data', data, '--task', 'semantic', '--size', 'mini', '--tiles', 64]
    command += ['--work-dir', run, '--device', 'cpu', '--epochs', 1, '--workers', 0]
    command += ['--cfg-options', 'train_cfg.val_interval=3', 'default_hooks.checkpoint.interval=3']
    printed = call('', '-m', 'mmgcvit', *command, '--image-size', 64, '--batch-size', 4)
    losses = re.findall(r'  loss: (\S+)', printed)
    assert losses
    assert np.isfinite([float(loss) for loss in losses]).all()
    model = load(run, device='cpu')
    assert model.tiles == 64
    counts = np.zeros((2, 2))  # by true and predicted class
    for path in (data / 'images' / 'val').iterdir():
        true = cv2.imread(str(data / 'masks' / 'val' / path.name), cv2.IMREAD_UNCHANGED)
        is_labelled = true < 2
        label_map = model(path).label_map
        assert label_map.shape == true.shape
        np.add.at(counts, (true[is_labelled], label_map[is_labelled]), 1)
    right = counts.diagonal()
    mean_iou = (right / (counts.sum(0) + counts.sum(1) - right)).mean()
    printed = call('', '-m', 'mmgcvit', 'test', run, '--device', 'cpu', '--work-dir', tmp_path)
    assert float(re.findall(r'  mIoU: ([0-9.]+)', printed)[-1]) == pytest.approx(
        100 * mean_iou, abs=0.02
    )
