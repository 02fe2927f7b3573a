"""Pictures are described by all feature maps alike, and a run by pictures from all of its list."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmgcvit.own.suggestions import suggest
from mmgcvit.own.suggestions.features import pool_maps


def make_map(*means):
    """Return a feature map (1, channels, 2, 3) with these means, whose positions differ."""
    positions = torch.tensor([[-2.0, 1.0, 1.0], [0.0, 3.0, -3.0]])
    return torch.tensor(means)[None, :, None, None] + positions


def test_features_are_the_means_of_maps_of_length_1():
    (features,) = pool_maps([make_map(3.0, 4.0), make_map(0.0, 5.0, 12.0)])
    expected = np.array([3 / 5, 4 / 5, 0, 5 / 13, 12 / 13]) / np.sqrt(2)
    np.testing.assert_allclose(features, expected, atol=1e-6)


@pytest.mark.parametrize('factor', [0.01, 100])
def test_a_map_with_large_values_counts_no_more_than_others(factor):
    maps = [make_map(3.0, 4.0), make_map(5.0, 12.0)]
    found = pool_maps([maps[0], factor * maps[1]])
    np.testing.assert_allclose(found, pool_maps(maps), atol=1e-6)


@pytest.mark.parametrize(
    ('num_pictures', 'expected'), [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (31, [0, 10, 20, 30])]
)
def test_training_pictures_are_compared_from_all_of_a_long_list(
    num_pictures, expected, monkeypatch
):
    """Lists are often sorted by class, or by time."""

    class Dataset(list):
        get_data_info = list.__getitem__

    dataset = Dataset({'img_path': number} for number in range(num_pictures))
    monkeypatch.setattr(suggest, 'MAX_KNOWN', 4)
    monkeypatch.setattr(suggest, 'check_presence', lambda *_: None)
    monkeypatch.setattr(suggest, 'build_dataset', lambda *_: dataset)
    monkeypatch.setattr(suggest, 'convert_to_array', lambda path, _: path)
    monkeypatch.setattr(suggest, 'compute_features', lambda _, path: np.full(2, path))
    cfg = Config({'train_dataloader': {'dataset': {}}, 'default_scope': 'mmdet'})
    model = type('Model', (), {'decoding': None})()
    described = suggest.describe_training_pictures(model, cfg)
    assert described[:, 0].tolist() == expected
