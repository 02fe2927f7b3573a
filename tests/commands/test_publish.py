"""A published file has only the whole model's weights, and gives the same predictions as the run's
checkpoint.
"""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmgcvit.checkpoints.licences import LIMIT
from mmgcvit.checkpoints.published import read_description
from mmgcvit.checkpoints.reading import read_metadata
from mmgcvit.checkpoints.safe_loading import read_for_mmengine
from mmgcvit.errors import CheckpointError, UserError
from mmgcvit.host.files import compute_sha256
from mmgcvit.predict.load import load
from mmgcvit.predict.thresholds import ScoreThresholds, parse_metadata, write_thresholds
from mmgcvit.runs.folder import RunFolder


def test_a_published_detector_keeps_its_threshold(work_dirs, tmp_path, call):
    """Also if it is published again, or loaded beside another copy of the config."""
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    thresholds = ScoreThresholds(0.71, {'3': 0.2})
    write_thresholds(RunFolder(run), run / 'epoch_1.pth', thresholds)
    target = tmp_path / 'other' / 'published.safetensors'
    target.parent.mkdir()
    _, printed = call('publish', run, run / 'epoch_1.pth', target)
    assert 'confidence threshold 0.71 (3 0.2)' in printed
    (config,) = run.glob('*.py')
    copy = shutil.copy(config, target.parent)
    again = target.with_name('again.safetensors')
    call('publish', copy, target, again)
    assert load(copy, again, 'cpu').thresholds == thresholds
    assert read_metadata(run / 'epoch_1.pth') == {}


def test_published_file_in_the_work_dir_has_the_weights_without_training_state(
    work_dir, tmp_path, call
):
    run = shutil.copytree(work_dir, tmp_path / 'run')
    _, printed = call('publish', run)
    target = run / 'model.safetensors'
    trained = torch.load(work_dir / 'epoch_1.pth', weights_only=False)['state_dict']
    published = load_file(target)
    assert set(published) == set(trained)
    assert all(torch.equal(published[name], trained[name]) for name in trained)
    assert compute_sha256(target) in printed
    torch.save({'epoch': 1}, tmp_path / 'empty.pth')
    arguments = [run, tmp_path / 'empty.pth', tmp_path / 'b.safetensors']
    assert 'has no weights under' in call('publish', *arguments)[1]
    # The file has default permissions.
    (tmp_path / 'any').touch()
    assert target.stat().st_mode == (tmp_path / 'any').stat().st_mode


def test_a_published_detector_has_the_thresholds_of_its_run(work_dirs, tmp_path, call):
    """Also of each class, and if it is published again; thresholds that are given override them."""
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    first, second = load(run, device='cpu').classes[:2]
    chosen = ScoreThresholds(0.6, {second: 0.35})
    write_thresholds(RunFolder(run), run / 'epoch_1.pth', chosen)
    assert load(run, device='cpu').thresholds == chosen
    once = tmp_path / 'once.safetensors'
    twice = tmp_path / 'twice.safetensors'
    call('publish', run, once)
    call('publish', run, once, twice)
    assert parse_metadata(read_metadata(once)) == chosen
    assert load(run, twice, 'cpu').thresholds == chosen
    assert load(run, twice, 'cpu', {first: 0.1}).thresholds == chosen.override({first: 0.1})
    with pytest.raises(UserError, match='the model has no class tiger'):
        load(run, twice, 'cpu', {'tiger': 0.1})


@pytest.mark.parametrize('limit', [None, 'not for commercial use'])
def test_a_published_file_says_its_classes_its_backbone_and_its_limit(
    limit, work_dirs, tmp_path, call
):
    """So ``--start`` takes it, and a data set with other classes of the same number is noticed."""
    content = torch.load(work_dirs['detection'] / 'epoch_1.pth', weights_only=False)
    content['meta'] |= {LIMIT: limit} if limit else {}
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    torch.save(content, run / 'epoch_1.pth')
    targets = [tmp_path / 'once.safetensors', tmp_path / 'twice.safetensors']
    _, printed = call('publish', run, targets[0])
    assert (f'these weights are {limit}' in printed) == bool(limit)
    call('publish', run, targets[0], targets[1])
    for target in targets:
        meta = read_for_mmengine(str(target)).content['meta']
        assert meta['dataset_meta']['classes'] == load(run, device='cpu').classes
        backbone = meta['settings']['model']['backbone']
        assert backbone['type'].endswith('GCViT')
        assert backbone.keys() == {'type', 'arch', 'window_size', 'pretrain_img_size'}
        assert meta.get(LIMIT) == limit
        assert load(run, target, 'cpu').weights_limit == limit


@pytest.mark.parametrize('text', ['[1', '{"a": 1}', '[1, 2]'])
def test_metadata_of_another_program_are_no_class_names(text, tmp_path):
    path = tmp_path / 'other.safetensors'
    save_file({'a': torch.zeros(1)}, path, {'classes': text})
    if text == '[1':
        with pytest.raises(CheckpointError, match='has damaged metadata, or another program'):
            read_description(path)
    else:
        assert read_description(path) == {}


def test_weights_that_layers_share_are_published_for_each(work_dirs, tmp_path, call):
    """As RTMDet's convolutions are. Files of safetensors cannot share."""
    run = shutil.copytree(work_dirs['classification'], tmp_path / 'run')
    content = torch.load(run / 'epoch_1.pth', weights_only=False)
    weights = content['state_dict']
    first = next(name for name in weights if name.endswith('norm1.weight'))
    second = first.replace('norm1', 'norm2')
    weights[second] = weights[first]
    torch.save(content, run / 'epoch_1.pth')
    code, printed = call('publish', run)
    assert code == 0, printed
    published = load_file(run / 'model.safetensors')
    assert published.keys() == weights.keys()
    assert torch.equal(published[second], published[first])
