"""mmdet trains and scores the ByteTrack config on a clip of digits. Run by make test-track."""

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.ndimage import find_objects

pytest.importorskip('lap', reason='beside the environment: make test-track')
pytest.importorskip('trackeval', reason='beside the environment: make test-track')

from mmgcvit.experiments.complexity import count_by_part, count_parameters

from ..configs.models import ENTRIES, build_on_meta, find_wrong_groups, read
from ..inference.large_images import page_of
from ..tools.commands import call, score

CONFIG, DIGITS = 'other_tasks/bytetrack_gcvit_t_mot17', 'mask_rcnn_gcvit_digits'
NUM_FRAMES, SIZE = 60, 256
# A digit is in the ground truth while at least this share of its pixels is visible.
MIN_VISIBLE = 0.4
# Every digit has the first class; the detector has ten classes.
CLASSES = ('pedestrian', *'123456789')


def write_mot17(root):
    """Write a clip in which a camera passes digits, as mmdet's mot2coco.py writes MOT17, as training and validation."""
    page, _, numbers = page_of(SIZE, SIZE + 2 * NUM_FRAMES)
    images, objects = [], []
    (root / 'train' / 'CLIP-01' / 'img1').mkdir(parents=True)
    for time in range(NUM_FRAMES):
        view = np.s_[:, 2 * time : 2 * time + SIZE]
        name = f'CLIP-01/img1/{time + 1:06d}.jpg'
        cv2.imwrite(str(root / 'train' / name), page[view])
        image = {'id': time + 1, 'video_id': 1, 'frame_id': time, 'file_name': name, 'mot_frame_id': time + 1}
        images.append({**image, 'height': SIZE, 'width': SIZE})
        for number, place in enumerate(find_objects(numbers[view]), start=1):
            if place and (numbers[view] == number).sum() >= MIN_VISIBLE * (numbers == number).sum():
                height, width = (side.stop - side.start for side in place)
                entry = {'id': len(objects) + 1, 'image_id': time + 1, 'category_id': 1, 'iscrowd': 0}
                entry |= {'bbox': [place[1].start, place[0].start, width, height], 'area': width * height}
                objects.append({**entry, 'instance_id': number, 'visibility': 1.0, 'mot_conf': 1.0})
    content = {'images': images, 'annotations': objects, 'videos': [{'id': 1, 'name': 'CLIP-01'}]}
    content['categories'] = [{'id': number, 'name': name} for number, name in enumerate(CLASSES, start=1)]
    (root / 'annotations').mkdir()
    for half in ('half-train', 'half-val'):
        (root / 'annotations' / f'{half}_cocoformat.json').write_text(json.dumps(content))


def test_the_mot17_config_trains_and_evaluates_a_detector(tmp_path):
    """Put the digits' detector into the config and run it on the clip."""
    cfg, detector = read(CONFIG), read(f'demo/{DIGITS}').model
    model, metadata = build_on_meta(cfg), ENTRIES[CONFIG]['Metadata']
    assert [*find_wrong_groups(cfg, model)] == []
    parts = count_by_part(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert (count_parameters(model), sum(part.macs for part in parts)) == (metadata['Parameters'], metadata['FLOPs'])
    write_mot17(tmp_path)
    weights = load_file(f'configs/demo/weights/{DIGITS}.safetensors')
    for part in ('data_preprocessor', 'roi_head.mask_head', 'roi_head.mask_roi_extractor'):
        *outer, name = part.split('.')
        (detector[outer[0]] if outer else detector).pop(name)
    detector.backbone.init_cfg = None
    torch.save(
        {'state_dict': {f'detector.{name}': value for name, value in weights.items() if 'mask_' not in name}},
        tmp_path / 'digits.pth',
    )
    cfg.model.detector, cfg.load_from = detector, str(tmp_path / 'digits.pth')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = f'{tmp_path}/'
        loader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.update(indices=4, metainfo={'classes': CLASSES})
    for dataset, step in ((cfg.train_dataloader.dataset, 2), (cfg.val_dataloader.dataset, 0)):
        step = dataset.pipeline[step]
        (step.transforms[1] if 'transforms' in step else step).scale = (128, 128)
    cfg.train_cfg.max_epochs, cfg.optim_wrapper.optimizer.lr = 1, 1e-6
    cfg.dump(tmp_path / 'config.py')
    output = call('', '-m', 'mmgcvit', 'train', tmp_path / 'config.py', '--work-dir', tmp_path / 'run')
    assert score(output, 'best motchallenge-metric_HOTA') > 0.5
