"""Helpers for mmengine's batches find images with NaN or infinite pixels."""

import torch
from mmengine.structures import BaseDataElement

from mmgcvit.mmengine_utils import find_suspect_images


def batch_of(*pixels, **more):
    samples = [BaseDataElement(metainfo={'img_path': f'{index}.jpg'}) for index in range(len(pixels))]
    return {'inputs': [torch.tensor(values) for values in pixels], 'data_samples': samples, **more}


def test_suspect_images_have_nan_or_infinite_pixels_or_are_all_images():
    batch = batch_of([0.0, 1.0], [float('nan'), 1.0], [0.0, float('-inf')])
    for inputs in (batch['inputs'], torch.stack(batch['inputs'])):
        assert find_suspect_images({**batch, 'inputs': inputs}) == ['1.jpg', '2.jpg']
    assert find_suspect_images(batch_of([0, 255], [3, 4])) == ['0.jpg', '1.jpg'], 'all images if all are finite'
    assert find_suspect_images({'data_samples': batch['data_samples'][:2]}) == ['0.jpg', '1.jpg'], (
        'all images if there are no pixels'
    )
    unnamed = [BaseDataElement(metainfo=info) for info in ({'sample_idx': 7}, {'img_path': None, 'sample_idx': 8})]
    assert find_suspect_images({'data_samples': unnamed}) == ['index 7', 'index 8']
    for other in (None, [], torch.ones(2), {}, {'data_samples': None}, {'data_samples': {'a': []}}):
        assert find_suspect_images(other) == []
