"""A checkpoint is used with the settings that it was made with, or a line says that it is not."""

import shutil

import pytest
import torch
from mmengine.config import Config

from mmgcvit import load
from mmgcvit.checkpoints import read_checkpoint, save_whole
from mmgcvit.errors import UserError
from mmgcvit.hosts.configs import read_config
from mmgcvit.inference.sources import as_made, find_source

OTHER = {'test_dataloader.dataset.pipeline.1.scale': (96, 96)}


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr('mmgcvit.inference.sources.LOGGER.warning', lines.append)
    return lines


@pytest.fixture
def run_dir(work_dirs, tmp_path):
    """The work dir of a classifier's run, whose checkpoint holds its config."""
    folder = shutil.copytree(work_dirs['classification'], tmp_path / 'run')
    remade(folder, read_config(folder / 'classify.py').pretty_text)
    return folder


def remade(folder, text):
    """Give a checkpoint the text of a config."""
    content = read_checkpoint(str(folder / 'epoch_1.pth'))
    content['meta']['cfg'] = text
    save_whole(content, folder / 'epoch_1.pth')


def overwritten(file, options):
    """Write a config with other settings."""
    cfg = Config.fromfile(file)
    cfg.merge_from_dict(options)
    cfg.dump(file)


def scale_of(model):
    return tuple(model.pipeline.transforms[0].scale)


def test_of_a_work_dir_the_checkpoints_settings_are_used_and_of_a_named_file_its_own(run_dir, said):
    config = run_dir / 'classify.py'
    assert scale_of(load(run_dir, device='cpu')) == scale_of(load(config, run_dir / 'epoch_1.pth', 'cpu')) == (64, 64)
    assert said == []
    overwritten(config, OTHER)
    assert scale_of(load(run_dir, device='cpu')) == (64, 64)
    assert scale_of(load(config, run_dir / 'epoch_1.pth', 'cpu')) == (96, 96)
    differs = 'test_dataloader.dataset.pipeline.1.scale: (64, 64) → (96, 96)'
    assert differs in said[0]
    assert said[0].endswith("the checkpoint's is used")
    assert differs in said[1]
    assert said[1].endswith('the named config is used')
    assert len(said) == 2


def test_settings_that_predictions_do_not_depend_on_count_as_no_difference(run_dir, said):
    overwritten(
        run_dir / 'classify.py',
        {
            'work_dir': 'elsewhere',
            'train_dataloader.batch_size': 7,
            'test_dataloader.dataset.data_root': 'elsewhere',
            'test_dataloader.dataset.pipeline.0.backend_args': {'backend': 'local'},
            'model.backbone.init_cfg': {'type': 'Pretrained', 'checkpoint': 'x.pth'},
            'model.backbone.with_cp': True,
            'model.train_cfg': {'augments': []},
            'optim_wrapper.optimizer.lr': 1.0,
        },
    )
    load(run_dir, device='cpu')
    assert said == []


def test_of_two_configs_in_a_work_dir_the_checkpoints_is_taken(run_dir, said):
    shutil.copy(run_dir / 'classify.py', run_dir / 'a_first.py')
    overwritten(run_dir / 'a_first.py', OTHER)
    assert find_source(run_dir).config == run_dir / 'classify.py'
    overwritten(run_dir / 'classify.py', {**OTHER, 'model.head.topk': (1,)})
    assert find_source(run_dir).config == run_dir / 'a_first.py'
    assert scale_of(load(run_dir, device='cpu')) == (64, 64)
    assert len(said) == 1
    remade(run_dir, 'no config')
    with pytest.raises(UserError, match=r'holds 2 configs \(a_first\.py, classify\.py\); name one'):
        find_source(run_dir)


def test_what_the_user_has_set_for_this_call_is_left(run_dir, said):
    """As ``mmgcvit test`` does with ``--cfg-options``."""
    overwritten(run_dir / 'classify.py', OTHER)
    source = find_source(run_dir)
    cfg = as_made(read_config(source.config), source, options=['test_dataloader.dataset.pipeline'])
    assert (cfg.test_dataloader.dataset.pipeline[1].scale, said) == ((96, 96), [])


def test_no_code_is_looked_up_that_a_checkpoint_names_and_the_config_does_not(run_dir, tmp_path, monkeypatch):
    """Hosts import what a type names: the settings in a file are data only as far as they name nothing new."""
    (tmp_path / 'harm.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")\n')
    monkeypatch.syspath_prepend(tmp_path)
    for place, value in (
        ('model.head.type', 'harm.Head'),
        ('model.neck', {'type': 'harm.Neck'}),
        ('model.head._scope_', 'harm'),
        ('test_dataloader.dataset.pipeline.1', {'type': 'harm.Step'}),
        ('default_scope', 'harm'),
    ):
        cfg = Config.fromfile(run_dir / 'classify.py')
        cfg.merge_from_dict({place: value})
        remade(run_dir, cfg.pretty_text)
        with pytest.raises(UserError, match='harm'):
            load(run_dir, device='cpu')
    assert not (tmp_path / 'ran').exists()


def test_files_that_say_nothing_of_their_config_are_used_as_ever(run_dir, said):
    overwritten(run_dir / 'classify.py', OTHER)
    for text in ('import os', 7, None, 'model = open("x", "w")'):
        remade(run_dir, text)
        assert scale_of(load(run_dir, device='cpu')) == (96, 96)
    torch.save({'state_dict': load(run_dir, device='cpu').network.state_dict()}, run_dir / 'plain.pth')
    assert scale_of(load(run_dir, run_dir / 'plain.pth', 'cpu')) == (96, 96)
    assert said == []
