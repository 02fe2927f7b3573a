"""Panoptic quality by mmdet's metric, beside what stands in for panopticapi, is what it is by hand."""

import json

import mmcv
import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import CocoPanopticMetric

from mmgcvit.ops.panopticapi import id2rgb, rgb2id

CAR, SKY, TREE = 7, 9, 11
CATEGORIES = [
    {'id': number, 'name': name, 'isthing': int(number == CAR)}
    for number, name in ((CAR, 'car'), (SKY, 'sky'), (TREE, 'tree'))
]
# What mmdet predicts: the number of the class, and 1000 times that of the thing; of none the number of classes.
A_CAR, ANOTHER, A_SKY, NOTHING = 1000, 2000, 1, 3


def map_of(*parts, rest):
    """A map of 10x10 px, of numbers and where they are."""
    numbers = np.full((10, 10), rest)
    for number, rows, columns in parts:
        numbers[slice(*rows), slice(*columns)] = number
    return numbers


def test_numbers_of_segments_are_colours_of_red_green_and_blue():
    numbers = np.array([[0, 1, 256], [65536, 8345037, 256**3 - 1]])
    colours = id2rgb(numbers)
    assert colours.dtype == np.uint8
    assert colours[1, 1].tolist() == [8345037 % 256, 8345037 // 256 % 256, 8345037 // 65536]
    np.testing.assert_array_equal(rgb2id(colours), numbers)


def test_of_two_images_by_hand(tmp_path):
    """IoU leaves out pixels without truth. The sky's are 40/48 and 1; a car's 25/30; of another 5 of 18 px are found.

    Of cars one is right, one is found in vain, one missed, and one missed in the second image: (25/30) / (1 + 3/2).
    """
    truths = [
        map_of((1, (0, 4), (0, 10)), (2, (4, 10), (0, 5)), (3, (4, 10), (5, 8)), rest=0),
        map_of((1, (0, 5), (0, 10)), (2, (5, 10), (0, 10)), rest=0),
    ]
    found = [
        map_of((A_SKY, (0, 5), (0, 10)), (A_CAR, (5, 10), (0, 5)), (ANOTHER, (5, 10), (5, 6)), rest=NOTHING),
        map_of((A_SKY, (0, 5), (0, 10)), rest=NOTHING),
    ]
    described = []
    for number, truth in enumerate(truths):
        mmcv.imwrite(id2rgb(truth)[..., ::-1], str(tmp_path / f'{number}.png'))
        segments = [
            {'id': each, 'category_id': SKY if each == 1 else CAR, 'iscrowd': 0, 'area': int((truth == each).sum())}
            for each in np.unique(truth[truth > 0]).tolist()
        ]
        described.append({'image_id': number, 'file_name': f'{number}.png', 'segments_info': segments})
    images = [{'id': number, 'file_name': f'{number}.jpg'} for number in range(2)]
    (tmp_path / 'truth.json').write_text(
        json.dumps({'images': images, 'annotations': described, 'categories': CATEGORIES})
    )

    metric = CocoPanopticMetric(ann_file=str(tmp_path / 'truth.json'), seg_prefix=str(tmp_path))
    metric.dataset_meta = {'classes': ('car', 'sky', 'tree')}
    for number, segments in enumerate(found):
        prediction = {'sem_seg': torch.from_numpy(segments)[None]}
        sample = {'img_id': number, 'img_path': f'{number}.jpg', 'ori_shape': (10, 10)}
        metric.process({}, [{**sample, 'pred_panoptic_seg': prediction}])
    scores = metric.evaluate(size=2)

    iou = 25 / 30
    sky, cars = (40 / 48 + 1) / 2, iou / 2.5
    expected = {'PQ': (sky + cars) / 2, 'PQ_th': cars, 'PQ_st': sky, 'SQ_th': iou, 'RQ_th': 1 / 2.5, 'RQ_st': 1}
    assert {name: scores[f'coco_panoptic/{name}'] for name in expected} == pytest.approx(
        {name: 100 * value for name, value in expected.items()}
    )
