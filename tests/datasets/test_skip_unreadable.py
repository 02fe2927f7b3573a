"""Unreadable images are replaced by others and logged once."""

import pytest
from mmcv.transforms import BaseTransform
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from mmgcvit.datasets.skip_unreadable import skip_unreadable
from mmgcvit.engine.loader_errors import explain_loader_errors
from mmgcvit.errors import UserError
from mmgcvit.host.config import enter_scope
from mmgcvit.registry import TRANSFORMS

from .checks.made import (
    NAMES,
    config,
    cut,
    write_ade20k,
    write_coco,
    write_exif_rotated,
    write_rotated_coco,
)


@pytest.fixture
def logged(monkeypatch):
    """Return a list that collects the log messages."""
    lines = []
    monkeypatch.setattr(
        'mmgcvit.datasets.skip_unreadable.print_log', lambda line, *_: lines.append(line)
    )
    return lines


def build(settings, max_unreadable=20):
    """Build a dataset as the train command does."""
    cfg = config(settings, custom_imports={'imports': ['mmgcvit.fixes.mmdet']})
    enter_scope(cfg)
    skip_unreadable(cfg, max_unreadable)
    return DATASETS.build(cfg.train_dataloader.dataset)


def load_names(dataset):
    """Return the image name of the sample that is loaded for each index."""
    return [dataset[index]['img_path'].rsplit('/')[-1] for index in range(len(dataset))]


@pytest.mark.parametrize(
    ('write', 'damage', 'file', 'words'),
    [
        (write_coco, cut, 'images/b.jpg', '{}/images/b.jpg cannot be loaded (failed to load'),
        (write_coco, write_exif_rotated, 'images/b.jpg', '(it is 30 x 40, but the'),
        (write_ade20k, cut, 'labels/b.png', '{0}/images/b.jpg with {0}/labels/b.png cannot be'),
    ],
)
def test_an_unreadable_image_is_replaced_and_logged_once(
    write, damage, file, words, tmp_path, logged
):
    dataset = build(write(tmp_path))
    damage(tmp_path / file)
    for _ in range(3):
        assert 'b.jpg' not in load_names(dataset)
    (line,) = logged
    assert words.format(tmp_path) in line
    assert '(1 of at most 20)' in line


@TRANSFORMS.register_module()
class Fails(BaseTransform):
    """A transform with a fault, of this package unless another one is given."""

    def transform(self, results):
        raise TypeError('a fault')


@pytest.mark.parametrize('package', ['mmgcvit.datasets', 'mmcv.transforms'])
def test_faults_of_this_package_are_not_those_of_a_file(package, tmp_path, monkeypatch, logged):
    monkeypatch.setattr(Fails, '__module__', package)
    settings = write_coco(tmp_path)
    settings['pipeline'].append({'type': 'mmgcvit.Fails'})
    dataset = build(settings)
    if package.startswith('mmgcvit'):
        with pytest.raises(TypeError, match='a fault'):
            dataset.prepare_data(0)
        assert not logged
    else:
        assert dataset.prepare_data(0) is None
        assert 'cannot be loaded (a fault)' in logged[0]


def test_exif_rotation_is_corrected(tmp_path):
    assert load_names(build(write_rotated_coco(tmp_path))) == [*NAMES]


@pytest.mark.parametrize('workers', [0, 1])
def test_too_many_unreadable_images_raise_a_one_line_error(workers, tmp_path):
    dataset = build(write_coco(tmp_path), max_unreadable=1)
    loader = DataLoader(dataset, num_workers=workers, collate_fn=pseudo_collate)
    (tmp_path / 'images/b.jpg').write_text('Hello')
    for _ in range(3):
        assert len(list(loader)) == len(NAMES)
    (tmp_path / 'images/c.jpg').write_text('Hello')
    words = rf'^{tmp_path}/images/c.jpg cannot be loaded \(failed to load image.*\Z'
    with pytest.raises(UserError, match=words), explain_loader_errors():
        list(loader)


@pytest.mark.parametrize(
    'loading', [['LoadImageFromFile', 'LoadAnnotations'], ['mmdet.LoadImageFromFile'], []]
)
def test_pipelines_that_load_images_are_wrapped(loading):
    load = [{'type': name} for name in loading]
    rest = [{'type': 'Resize'}, {'type': 'LoadAnnotations'}]
    hook = {'type': 'PipelineSwitchHook', 'switch_pipeline': load + rest}
    dataset = {'type': 'CocoDataset', 'pipeline': load + rest}
    repeated = {'type': 'RepeatDataset', 'dataset': dataset}
    cfg = config(repeated, custom_hooks=[{'type': 'EMAHook'}, hook])
    skip_unreadable(cfg, 7)
    expected = rest
    if load:
        options = {'transforms': load, 'augmentations': rest, 'unreadable_images': 7}
        expected = [{'type': 'mmgcvit.SkipUnreadable', **options}]
    assert cfg.train_dataloader.dataset.dataset.pipeline == expected
    assert cfg.custom_hooks[1].switch_pipeline == expected
