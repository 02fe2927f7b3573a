"""Paths of data in a config are replaced, and of those below a root only the root is."""

import pytest
from mmengine.config import Config

from mmgcvit.own.runs.config_paths import replace_paths


def locate(path):
    return f'/new/{path.removeprefix("/old/")}'


@pytest.mark.parametrize('root', [None, 'data'])
def test_relative_paths_below_a_root_are_kept(root):
    """Variables of templates have the paths that the datasets have."""
    dataset = {'type': 'Own', 'ann_file': 'a.json', 'data_prefix': {'img': 'images', 'seg': None}}
    roots = {'data_root': root} if root else {}
    cfg = Config(
        {
            'train_dataloader': {'dataset': {**dataset, **roots}},
            'train_annotations': 'a.json',
            **roots,
        }
    )
    replace_paths(cfg, locate)
    start = '' if root else '/new/'
    found = cfg.train_dataloader.dataset
    assert cfg.train_annotations == found.ann_file == f'{start}a.json'
    assert found.data_prefix == {'img': f'{start}images', 'seg': None}
    assert found.get('data_root') == ('/new/data' if root else None)


@pytest.mark.parametrize(
    ('path', 'expected'),
    [('/old/a.json', '/new/a.json'), ('s3://store/a.json', 's3://store/a.json'), ('', '')],
)
def test_absolute_paths_do_not_start_at_the_root(path, expected):
    dataset = {'type': 'Own', 'data_root': 'data', 'ann_file': path, 'data_prefix': path}
    cfg = Config({'val_dataloader': {'dataset': dataset}})
    replace_paths(cfg, locate)
    found = cfg.val_dataloader.dataset
    assert (found.ann_file, found.data_prefix) == (expected, expected)
