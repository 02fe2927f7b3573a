"""A config that differs from the one that its checkpoint was trained with is used, and a warning lists the settings."""

import shutil

import pytest
import torch
from mmengine.config import Config

from mmgcvit import load
from mmgcvit.checkpoints import read_checkpoint, save_checkpoint
from mmgcvit.config import read_config


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    monkeypatch.setattr('mmgcvit.inference.sources.LOGGER.warning', lines.append)
    return lines


@pytest.fixture
def run_dir(work_dirs, tmp_path):
    """The work dir of a classifier's run, whose checkpoint holds its config."""
    folder = shutil.copytree(work_dirs['classification'], tmp_path / 'run')
    store_config(folder, read_config(folder / 'classify.py').pretty_text)
    return folder


def store_config(folder, text):
    content = read_checkpoint(str(folder / 'epoch_1.pth'))
    content['meta']['cfg'] = text
    save_checkpoint(content, folder / 'epoch_1.pth')


def change_config(folder, options):
    cfg = Config.fromfile(folder / 'classify.py')
    cfg.merge_from_dict(options)
    cfg.dump(folder / 'classify.py')


SCALE = {'test_dataloader.dataset.pipeline.1.scale': (96, 96)}
IRRELEVANT = {
    'work_dir': 'elsewhere',
    'train_dataloader.batch_size': 7,
    'test_dataloader.dataset.data_root': 'elsewhere',
    'test_dataloader.dataset.pipeline.0.backend_args': {'backend': 'local'},
    'model.backbone.init_cfg': {'type': 'Pretrained', 'checkpoint': 'x.pth'},
    'model.backbone.with_cp': True,
    'model.train_cfg': {'augments': []},
    'optim_wrapper.optimizer.lr': 1.0,
}


@pytest.mark.parametrize('is_named', [False, True])
@pytest.mark.parametrize(('options', 'count', 'size'), [({}, 0, 64), (IRRELEVANT, 0, 64), (SCALE, 1, 96)])
def test_settings_that_predictions_depend_on_are_compared(run_dir, warnings, options, count, size, is_named):
    change_config(run_dir, options)
    arguments = (run_dir / 'classify.py', run_dir / 'epoch_1.pth') if is_named else (run_dir,)
    assert tuple(load(*arguments, device='cpu').pipeline.transforms[0].scale) == (size, size)
    assert len(warnings) == count
    if count:
        assert 'test_dataloader.dataset.pipeline.1.scale: [64, 64] -> [96, 96]' in warnings[0]
        assert warnings[0].endswith('the config is used')


def test_what_a_checkpoint_says_of_its_config_is_never_run(run_dir, warnings, tmp_path):
    for text in ('import os', 7, f'model = open({str(tmp_path / "ran")!r}, "w")', None):
        store_config(run_dir, text)
        load(run_dir, device='cpu')
    torch.save({'state_dict': load(run_dir, device='cpu').network.state_dict()}, run_dir / 'plain.pth')
    load(run_dir, run_dir / 'plain.pth', 'cpu')
    assert not (tmp_path / 'ran').exists()
