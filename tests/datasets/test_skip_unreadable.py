"""Images that become unreadable during training are replaced by others and logged once. Too many stop the run."""

import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from mmgcvit.config import enter_scope
from mmgcvit.datasets.skip_unreadable import skip_unreadable
from mmgcvit.engine.hooks.loader_check import explain_loader_errors
from mmgcvit.errors import UserError

from .checks.made import NAMES, config, cut, write_ade20k, write_coco, write_exif_rotated, write_rotated_coco


@pytest.fixture
def logged(monkeypatch):
    """Return a list that collects the log messages."""
    lines = []
    monkeypatch.setattr('mmgcvit.datasets.skip_unreadable.print_log', lambda line, *_: lines.append(line))
    return lines


def build(settings, max_unreadable=20):
    """Build a dataset as the train command does."""
    cfg = config(settings, custom_imports={'imports': ['mmgcvit.mmdet_fixes']})
    enter_scope(cfg)
    skip_unreadable(cfg, max_unreadable)
    return DATASETS.build(cfg.train_dataloader.dataset)


def load_names(dataset):
    """Return the image name of the sample that is loaded for each index."""
    return [dataset[index]['img_path'].rsplit('/')[-1] for index in range(len(dataset))]


@pytest.mark.parametrize(('damage', 'words'), [(cut, 'failed to load'), (write_exif_rotated, 'it is 30 x 40, but the')])
def test_an_unreadable_image_is_replaced_and_logged_once(damage, words, tmp_path, logged):
    dataset = build(write_coco(tmp_path))
    damage(tmp_path / 'images' / 'b.jpg')
    for _ in range(3):
        assert 'b.jpg' not in load_names(dataset)
    (line,) = logged
    assert line.startswith(f'{tmp_path}/images/b.jpg cannot be loaded')
    assert words in line
    assert '(1 of at most 20)' in line


def test_unreadable_maps_are_replaced_and_exif_rotation_is_corrected(tmp_path, logged):
    pairs = build(write_ade20k(tmp_path / 'ade'))
    cut(tmp_path / 'ade' / 'labels' / 'b.png')
    assert 'b.jpg' not in load_names(pairs)
    assert logged[0].startswith(f'{tmp_path}/ade/images/b.jpg with {tmp_path}/ade/labels/b.png cannot be loaded')
    assert load_names(build(write_rotated_coco(tmp_path / 'coco'))) == [*NAMES]


@pytest.mark.parametrize('workers', [0, 1])
def test_too_many_unreadable_images_raise_a_one_line_error(workers, tmp_path):
    dataset = build(write_coco(tmp_path), max_unreadable=1)
    loader = DataLoader(dataset, num_workers=workers, collate_fn=pseudo_collate)
    (tmp_path / 'images' / 'b.jpg').write_text('Hello')
    for _ in range(3):
        assert len(list(loader)) == len(NAMES)
    (tmp_path / 'images' / 'c.jpg').write_text('Hello')
    with pytest.raises(UserError) as error, explain_loader_errors():
        list(loader)
    assert str(error.value).startswith(f'{tmp_path}/images/c.jpg cannot be loaded (failed to load image')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('loading', [['LoadImageFromFile', 'LoadAnnotations'], ['mmdet.LoadImageFromFile'], []])
def test_pipelines_that_load_images_are_wrapped(loading):
    load, rest = ([{'type': name} for name in names] for names in (loading, ['Resize', 'LoadAnnotations']))
    pipeline = [*load, *rest]
    hooks = [{'type': 'EMAHook'}, {'type': 'PipelineSwitchHook', 'switch_pipeline': pipeline}]
    repeated = {'type': 'RepeatDataset', 'dataset': {'type': 'CocoDataset', 'pipeline': pipeline}}
    cfg = config(repeated, custom_hooks=hooks)
    skip_unreadable(cfg, 7)
    wrapped = {'type': 'mmgcvit.SkipUnreadable', 'transforms': load, 'unreadable_images': 7, 'augmentations': rest}
    expected = [wrapped] if load else rest
    assert cfg.train_dataloader.dataset.dataset.pipeline == cfg.custom_hooks[1].switch_pipeline == expected
    assert cfg.custom_hooks[0] == {'type': 'EMAHook'}
