"""What mmengine's runners give."""

import torch
from mmengine.structures import BaseDataElement

from mmgcvit.mmengine_utils import find_suspects


def batch_of(*pixels, **more):
    samples = [BaseDataElement(metainfo={'img_path': f'{index}.jpg'}) for index in range(len(pixels))]
    return {'inputs': [torch.tensor(values) for values in pixels], 'data_samples': samples, **more}


def test_images_of_a_batch_are_named_and_those_that_are_not_finite_are_the_suspects():
    batch = batch_of([0.0, 1.0], [float('nan'), 1.0], [0.0, float('-inf')])
    for inputs in (batch['inputs'], torch.stack(batch['inputs'])):
        assert find_suspects({**batch, 'inputs': inputs}) == ['1.jpg', '2.jpg']
    assert find_suspects(batch_of([0, 255], [3, 4])) == ['0.jpg', '1.jpg'], 'where all are finite all are'
    assert find_suspects({'data_samples': batch['data_samples'][:2]}) == ['0.jpg', '1.jpg'], (
        'where there are no pixels too'
    )
    unnamed = [BaseDataElement(metainfo=info) for info in ({'sample_idx': 7}, {'img_path': None, 'sample_idx': 8})]
    assert find_suspects({'data_samples': unnamed}) == ['index 7', 'index 8']
    for other in (None, [], torch.ones(2), {}, {'data_samples': None}, {'data_samples': {'a': []}}):
        assert find_suspects(other) == []
