"""A checkpoint is used with the settings that it was made with, or a line says that it is not."""

import re
import shutil

import pytest
import torch
from mmengine.config import Config

from mmgcvit import load
from mmgcvit.checkpoints import read_checkpoint, save_whole
from mmgcvit.errors import UserError
from mmgcvit.hosts.configs import overrides, read_config
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
    scale = 'test_dataloader.dataset.pipeline.1.scale'
    for options in ({scale: '(80, 80)'}, {scale: '(80, 80)', 'model.backbone.norm_cfg.eps': '0.5'}):
        cfg = as_made(read_config(source.config, overrides(options)), source, options)
        assert cfg.test_dataloader.dataset.pipeline[1].scale == (80, 80)
    assert cfg.model.backbone.norm_cfg.eps == 0.5
    assert said == []
    with pytest.raises(UserError, match='--cfg-options do not fit the config that'):
        as_made(read_config(source.config), source, {'test_dataloader.dataset.pipeline.99.scale': '1'})


def test_settings_are_put_where_they_belong_in_a_pipeline_that_is_wrapped(run_dir, said):
    cfg = Config.fromfile(run_dir / 'classify.py')
    load_step, *steps = cfg.test_dataloader.dataset.pipeline
    wrapped = {'type': 'mmgcvit.LoadReadable', 'transforms': [load_step, {'type': 'LoadAnnotations'}]}
    made = [load_step, {'type': 'LoadAnnotations'}, *steps]
    cfg.test_dataloader.dataset.pipeline = made
    remade(run_dir, cfg.pretty_text)
    cfg.test_dataloader.dataset.pipeline = [wrapped, *steps]
    cfg.merge_from_dict(OTHER)
    cfg = as_made(cfg, find_source(run_dir))
    assert [dict(step) for step in cfg.test_dataloader.dataset.pipeline] == [dict(step) for step in made]
    assert len(said) == 1


def test_files_beside_a_config_are_not_run_to_find_out_what_they_are(run_dir):
    for name, text in (('a_notes.py', 'open("ran", "w")\n'), ('b_script.py', 'import os\nmodel = 1\n'), ('c.py', '(')):
        (run_dir / name).write_text(text.replace('ran', str(run_dir / 'ran')))
    assert find_source(run_dir).config == run_dir / 'classify.py'
    shutil.copy(run_dir / 'classify.py', run_dir / 'a_first.py')
    overwritten(run_dir / 'a_first.py', OTHER)
    assert find_source(run_dir).config == run_dir / 'classify.py'
    assert not (run_dir / 'ran').exists()


def test_values_that_a_checkpoint_has_as_text_only_are_compared_and_never_used(run_dir, said):
    text = read_config(run_dir / 'classify.py').pretty_text
    remade(run_dir, re.sub(r'scale=\(\s*64,\s*64,?\s*\)', 'scale=range(64, 65)', text))
    with pytest.raises(UserError, match=r'does not name range\(64, 65\); name the config'):
        load(run_dir, device='cpu')
    load(run_dir / 'classify.py', run_dir / 'epoch_1.pth', 'cpu')
    assert 'range(64, 65)' in said[0]


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
    for text in ('import os', 7, 'model = open("x", "w")', None):
        remade(run_dir, text)
        assert scale_of(load(run_dir, device='cpu')) == (96, 96)
    torch.save({'state_dict': load(run_dir, device='cpu').network.state_dict()}, run_dir / 'plain.pth')
    assert scale_of(load(run_dir, run_dir / 'plain.pth', 'cpu')) == (96, 96)
    assert len(said) == 3
    assert all(
        line.endswith('does not say in readable text what config it was made with: not compared') for line in said
    )
