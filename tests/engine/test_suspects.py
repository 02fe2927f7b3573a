"""Messages name the images of a batch, whatever a host's data loader gives."""

import pytest
import torch
from mmengine.structures import BaseDataElement

from mmgcvit.hosts.mmengine import in_words, names_of, suspects


def batch_of(*pixels, **more):
    samples = [BaseDataElement(metainfo={'img_path': f'{index}.jpg'}) for index in range(len(pixels))]
    return {'inputs': [torch.tensor(values) for values in pixels], 'data_samples': samples, **more}


@pytest.mark.parametrize('stack', [list, torch.stack], ids=['list', 'stacked'])
def test_an_image_that_is_not_finite_is_the_suspect(stack):
    batch = batch_of([0.0, 1.0], [float('nan'), 1.0], [0.0, float('-inf')])
    batch['inputs'] = stack(batch['inputs'])
    assert suspects(batch) == ['1.jpg', '2.jpg']
    assert names_of(batch) == ['0.jpg', '1.jpg', '2.jpg']


def test_where_all_are_finite_all_are():
    batch = batch_of([0, 255], [3, 4])
    batch['inputs'] = [image.to(torch.uint8) for image in batch['inputs']]
    assert suspects(batch) == ['0.jpg', '1.jpg']


def test_images_without_a_file_are_named_by_their_number():
    samples = [
        BaseDataElement(metainfo={'sample_idx': 7}),
        BaseDataElement(metainfo={'img_path': None, 'sample_idx': 8}),
    ]
    assert names_of({'data_samples': samples}) == ['number 7 of the data set', 'number 8 of the data set']


def test_where_there_are_no_pixels_all_are():
    batch = batch_of([0.0], [1.0])
    del batch['inputs']
    assert suspects(batch) == ['0.jpg', '1.jpg']


@pytest.mark.parametrize('batch', [None, [], torch.ones(2), {}, {'data_samples': None}, {'data_samples': {'a': []}}])
def test_of_other_batches_nothing_is_known(batch):
    assert suspects(batch) == names_of(batch) == []


@pytest.mark.parametrize(
    ('count', 'words'), [(0, 'unknown'), (2, '0, 1'), (16, ', 14, 15'), (17, ', 14, 15 and 1 more')]
)
def test_a_line_holds_so_many(count, words):
    assert in_words([str(number) for number in range(count)]).endswith(words)
