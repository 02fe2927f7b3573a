"""An image that breaks while a run trains is replaced by another, named once and counted; too many stop the run."""

import re
from copy import deepcopy

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from mmgcvit.config import enter_scope
from mmgcvit.datasets.checks import TooManyDamagedError, skip_damaged
from mmgcvit.datasets.checks.loading import DamagedFiles

from .made import (
    NAMES,
    NOT_DECODED,
    WIDTH,
    coco_content,
    config,
    cut,
    write_ade20k,
    write_coco,
    write_jpeg_bomb,
    write_turned,
)

HARMS = NOT_DECODED | {
    'text': (lambda path: path.write_text('Hello'), 'failed to load image'),
    'cut': (cut, 'failed to load image'),
    'bomb in JPEG': (write_jpeg_bomb, 'pixels by their headers'),
    'turned': (write_turned, 'it is 30 x 40, annotated as 40 x 30'),
}
# What a pipeline does, and how many of its steps are wrapped.
PIPELINES = [
    (['LoadImageFromFile', 'LoadAnnotations', 'Resize'], 2),
    (['mmdet.LoadImageFromFile', 'Resize', 'LoadAnnotations'], 1),
    (['LoadImageFromFile'], 1),
    (['RandomCrop'], 0),
    ([], 0),
]


@pytest.fixture
def said(monkeypatch):
    """The warnings of the log."""
    lines = []
    monkeypatch.setattr('mmgcvit.datasets.checks.loading.print_log', lambda line, *_: lines.append(line))
    return lines


def training_set(settings, most=20):
    """A data set as the command has it built."""
    cfg = config(settings)
    enter_scope(cfg)
    skip_damaged(cfg, most)
    return DATASETS.build(cfg.train_dataloader.dataset)


def drawn(dataset):
    """The names of the images that are drawn where each is asked for."""
    return [dataset[number]['img_path'].rsplit('/')[-1] for number in range(len(dataset))]


def test_an_image_that_cannot_be_loaded_is_replaced_and_named_once(tmp_path, said):
    for number, (harm, words) in enumerate(HARMS.values()):
        said.clear()
        root = tmp_path / str(number)
        dataset = training_set(write_coco(root))
        harm(root / 'images' / 'b.jpg')
        names = [drawn(dataset) for _ in range(3)]
        assert all(found[::2] == ['a.jpg', 'c.jpg'] and found[1] != 'b.jpg' for found in names)
        (line,) = said
        assert line.startswith(f'{root}/images/b.jpg cannot be loaded')
        assert re.search(words, line)
        assert '(1 of at most 20)' in line


def test_annotations_that_cannot_be_drawn_and_label_files_count_too(tmp_path, said):
    content = coco_content()
    content['annotations'][1]['segmentation'] = {'size': [3, 4], 'counts': [12]}
    assert 'b.jpg' not in drawn(training_set(write_coco(tmp_path / 'coco', content)))
    pairs = training_set(write_ade20k(tmp_path / 'ade'))
    assert pairs[0]['img'].shape[1] == WIDTH
    cut(tmp_path / 'ade' / 'labels' / 'b.png')
    assert 'b.jpg' not in drawn(pairs)
    files = [f'{tmp_path}/coco/images/b.jpg', f'{tmp_path}/ade/images/b.jpg with {tmp_path}/ade/labels/b.png']
    assert [line.split(' cannot be loaded')[0] for line in said] == files


@pytest.mark.parametrize('workers', [0, 2])
def test_too_many_stop_the_run_in_one_sentence(workers, tmp_path):
    """However many workers find them, each file counts once."""
    dataset = training_set(write_coco(tmp_path), most=1)
    loader = DataLoader(dataset, num_workers=workers, collate_fn=pseudo_collate)
    (tmp_path / 'images' / 'b.jpg').write_text('Hello')
    for _ in range(3):
        assert len(list(loader)) == len(NAMES)
    (tmp_path / 'images' / 'c.jpg').write_text('Hello')
    with pytest.raises(TooManyDamagedError) as error:
        list(loader)
    assert str(error.value).startswith(f'{tmp_path}/images/c.jpg cannot be loaded (failed to load image')
    assert 'and 1 others could not' in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.long
def test_whole_images_are_drawn_as_without_it(tmp_path):
    settings = write_coco(tmp_path)
    ours, plain = training_set(settings), DATASETS.build(settings)
    for number in range(len(plain)):
        assert (plain[number]['img'] == ours[number]['img']).all()
        assert torch.equal(plain[number]['gt_bboxes'].tensor, ours[number]['gt_bboxes'].tensor)


def test_the_steps_that_load_are_wrapped_and_no_other():
    """Of files on a server none: they are left to the host."""
    for names, wrapped in PIPELINES:
        pipeline = [{'type': name} for name in names]
        cfg = config({'type': 'RepeatDataset', 'dataset': {'type': 'CocoDataset', 'pipeline': pipeline}})
        skip_damaged(cfg, 7)
        found = cfg.train_dataloader.dataset.dataset.pipeline
        if wrapped:
            assert found[0] == {'type': 'mmgcvit.SkipUnreadable', 'transforms': pipeline[:wrapped], 'damaged_images': 7}
        assert found[bool(wrapped) :] == pipeline[wrapped:]
    cfg = config({'type': 'CocoDataset', 'data_root': 's3://bucket', 'pipeline': [{'type': 'LoadImageFromFile'}]})
    skip_damaged(cfg, 7)
    assert cfg.train_dataloader.dataset.pipeline == [{'type': 'LoadImageFromFile'}]


def test_a_turned_image_is_loaded_as_stored_where_the_pipeline_matches_the_annotated_size(tmp_path, said):
    settings = write_coco(tmp_path)
    settings['pipeline'].insert(1, {'type': 'mmgcvit.ApplyExifAsAnnotated'})
    write_turned(tmp_path / 'images' / 'b.jpg')
    assert drawn(training_set(settings)) == ['a.jpg', 'b.jpg', 'c.jpg']
    assert not said


def test_copies_of_a_data_set_count_together():
    files = DamagedFiles(2)
    assert deepcopy(files).add('a') == 1
    assert files.add('a') is None
    assert [files.add(name) for name in 'bcd'] == [2, 3, 3]
