"""A published file has the whole model's weights and nothing else, and predicts as the run's checkpoint does."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from mmgcvit import load
from mmgcvit.checkpoints import save_whole
from mmgcvit.checkpoints.integrity import sha256
from mmgcvit.commands import publish
from mmgcvit.inference import UserError

from ..inference.conftest import CLASSES, TASKS, make_work_dir, picture_of


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A work dir of each task, with what a training's checkpoint holds beside the weights."""
    folders = {}
    for task in TASKS:
        folder = make_work_dir(tmp_path_factory.mktemp('runs') / task, task)
        content = torch.load(folder / 'epoch_1.pth', weights_only=False)
        moments = {name: torch.zeros_like(tensor) for name, tensor in content['state_dict'].items()}
        save_whole({**content, 'optimizer': {'state': moments, 'param_groups': []}}, folder / 'epoch_1.pth')
        folders[task] = folder
    return folders


def publish_command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['publish', *map(str, arguments)])
    publish.main()


@pytest.mark.parametrize('task', TASKS)
def test_a_published_file_is_the_model_without_its_training(task, runs, tmp_path, monkeypatch, capsys):
    target = tmp_path / 'model.safetensors'
    publish_command(monkeypatch, runs[task], target)
    trained = torch.load(runs[task] / 'epoch_1.pth', weights_only=False)['state_dict']
    published = load_file(target)
    assert set(published) == set(trained)
    assert all(torch.equal(published[name], trained[name]) for name in trained)
    with safe_open(target, 'pt') as file:
        metadata = file.metadata()
    assert metadata['task'] == task
    assert json.loads(metadata['classes']) == CLASSES[task]
    assert metadata['trained_sha256'] == sha256(runs[task] / 'epoch_1.pth')
    assert sha256(target) in capsys.readouterr().out
    (tmp_path / 'any').touch()
    assert target.stat().st_mode == (tmp_path / 'any').stat().st_mode, 'others may read it as any file'


def test_half_the_size_predicts_nearly_the_same(runs, tmp_path, monkeypatch):
    target = tmp_path / 'half.safetensors'
    publish_command(monkeypatch, runs['classification'], target, '--half')
    assert target.stat().st_size < 0.55 * sum(t.numel() * 4 for t in load_file(target).values())
    (config,) = runs['classification'].glob('*.py')
    image = picture_of(90, 120)
    whole, half = (load(*source, device='cpu')(image) for source in ((runs['classification'],), (config, target)))
    assert np.allclose(whole.scores, half.scores, atol=1e-2)
    assert whole.label == half.label


def test_numbers_beyond_float16_are_refused_in_half(runs, tmp_path, monkeypatch):
    folder = tmp_path / 'run'
    make_work_dir(folder, 'classification')
    content = torch.load(folder / 'epoch_1.pth', weights_only=False)
    content['state_dict']['head.fc.weight'][0, 0] = 1e6
    save_whole(content, folder / 'epoch_1.pth')
    with pytest.raises(SystemExit, match=r'publish: head\.fc\.weight holds numbers up to 1e\+06, beyond float16'):
        publish_command(monkeypatch, folder, tmp_path / 'half.safetensors', '--half')
    assert not list(tmp_path.glob('half*'))


@pytest.mark.parametrize(('name', 'sentence'), [('model.pth', r'ends in \.safetensors'), ('is.safetensors', 'exists')])
def test_a_name_that_cannot_be_is_refused_before_anything_is_read(name, sentence, tmp_path, monkeypatch):
    (tmp_path / 'is.safetensors').write_bytes(b'of somebody')
    with pytest.raises(SystemExit, match=sentence):
        publish_command(monkeypatch, 'nowhere.py', tmp_path / name)
    assert (tmp_path / 'is.safetensors').read_bytes() == b'of somebody'


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(monkeypatch):
    sentence = r'publish: /proc/x\.safetensors cannot be written \(/proc: .*\); name another place$'
    with pytest.raises(SystemExit, match=sentence):
        publish_command(monkeypatch, 'nowhere.py', '/proc/x.safetensors')


def test_where_nothing_can_be_written_one_sentence_says_so_and_nothing_is_left(tmp_path):
    (tmp_path / 'file').write_text('of somebody')
    with pytest.raises(UserError, match=r'file/out\.safetensors could not be written'):
        publish.write({}, {}, tmp_path / 'file' / 'out.safetensors')
    (tmp_path / 'folder' / 'out.safetensors').mkdir(parents=True)
    with pytest.raises(UserError, match=r'folder/out\.safetensors could not be written'):
        publish.write({'a': torch.zeros(1)}, {}, tmp_path / 'folder' / 'out.safetensors')
    assert [path.name for path in (tmp_path / 'folder').iterdir()] == ['out.safetensors']
