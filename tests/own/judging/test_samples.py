"""Samples of datasets are loaded in the colours that the model sees."""

import numpy as np
import torch
from mmengine.structures import BaseDataElement

from mmgcvit.own.judging.classification import ClassificationEvaluation
from mmgcvit.own.judging.samples import load_sample

CLASSES = ['cat', 'dog']


class Samples(list):
    """A dataset that is loaded."""

    get_data_info = list.__getitem__


def load(path):
    """Load the image of a class, whose first channel is 200, by its path."""
    image = torch.zeros(3, 4, 5, dtype=torch.uint8)
    image[0] = 200
    sample = BaseDataElement(gt_label=torch.tensor([1]))
    if path:
        sample.set_metainfo({'img_path': path})
    dataset = Samples([{'inputs': image, 'data_samples': sample}])
    return load_sample(dataset, 0, CLASSES, ClassificationEvaluation())


def test_images_without_a_file_are_rgb():
    """As those of CIFAR. Files are loaded in BGR order."""
    assert load('a.png').image[0, 0].tolist() == [200, 0, 0]
    sample = load(None)
    assert sample.image[0, 0].tolist() == [0, 0, 200]
    assert str(sample.path) == '000000.png'
    assert sample.image.dtype == np.uint8
