"""An image that becomes unreadable during training is replaced by another and logged once; too many stop the run."""

import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from mmgcvit.config import enter_scope
from mmgcvit.datasets.checks import TooManyUnreadableError, skip_unreadable

from .made import NAMES, config, cut, write_ade20k, write_coco, write_rotated_coco, write_turned

HARMS = {
    'missing': (lambda path: path.unlink(), 'No such file'),
    'cut': (cut, 'failed to load image'),
    'turned': (write_turned, 'it is 30 x 40, annotated as 40 x 30'),
}


@pytest.fixture
def logged(monkeypatch):
    """The lines of the log."""
    lines = []
    monkeypatch.setattr('mmgcvit.datasets.checks.loading.print_log', lambda line, *_: lines.append(line))
    return lines


def build(settings, most=20):
    """Build a data set as the train command does."""
    cfg = config(settings)
    enter_scope(cfg)
    skip_unreadable(cfg, most)
    return DATASETS.build(cfg.train_dataloader.dataset)


def load_names(dataset):
    """The names of the images that are loaded when each is asked for."""
    return [dataset[number]['img_path'].rsplit('/')[-1] for number in range(len(dataset))]


@pytest.mark.parametrize('fault', HARMS)
def test_an_image_that_cannot_be_loaded_is_replaced_and_logged_once(fault, tmp_path, logged):
    harm, words = HARMS[fault]
    dataset = build(write_coco(tmp_path))
    harm(tmp_path / 'images' / 'b.jpg')
    for _ in range(3):
        assert 'b.jpg' not in load_names(dataset)
    (line,) = logged
    assert line.startswith(f'{tmp_path}/images/b.jpg cannot be loaded')
    assert words in line
    assert '(1 of at most 20)' in line


def test_segmentation_maps_count_too_and_exif_rotation_is_repaired(tmp_path, logged):
    pairs = build(write_ade20k(tmp_path / 'ade'))
    cut(tmp_path / 'ade' / 'labels' / 'b.png')
    assert 'b.jpg' not in load_names(pairs)
    assert logged[0].startswith(f'{tmp_path}/ade/images/b.jpg with {tmp_path}/ade/labels/b.png cannot be loaded')
    assert load_names(build(write_rotated_coco(tmp_path / 'coco'))) == [*NAMES]


@pytest.mark.parametrize('workers', [0, 1])
def test_too_many_stop_the_run_in_one_sentence(workers, tmp_path):
    dataset = build(write_coco(tmp_path), most=1)
    loader = DataLoader(dataset, num_workers=workers, collate_fn=pseudo_collate)
    (tmp_path / 'images' / 'b.jpg').write_text('Hello')
    for _ in range(3):
        assert len(list(loader)) == len(NAMES)
    (tmp_path / 'images' / 'c.jpg').write_text('Hello')
    with pytest.raises(TooManyUnreadableError) as error:
        list(loader)
    assert str(error.value).startswith(f'{tmp_path}/images/c.jpg cannot be loaded (failed to load image')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('loading', [['LoadImageFromFile', 'LoadAnnotations'], ['mmdet.LoadImageFromFile'], []])
def test_the_steps_that_load_are_wrapped_and_no_others(loading):
    load, rest = ([{'type': name} for name in names] for names in (loading, ['Resize', 'LoadAnnotations']))
    cfg = config({'type': 'RepeatDataset', 'dataset': {'type': 'CocoDataset', 'pipeline': [*load, *rest]}})
    skip_unreadable(cfg, 7)
    wrapped = {'type': 'mmgcvit.SkipUnreadable', 'transforms': load, 'unreadable_images': 7}
    assert cfg.train_dataloader.dataset.dataset.pipeline == [*([wrapped] if load else []), *rest]
