"""An option that names a variable of a config file takes effect or is refused in a sentence that says what does."""

import re

import pytest

from mmgcvit.hosts.configs import read_config

BASE = """
data_root = 'data/here'
epochs = 9
train_dataloader = dict(dataset=dict(data_root=data_root), batch_size=2)
"""
CONFIG = """
_base_ = 'base.py'
side = 32
names = ('cat', 'dog')
note = 'of the run'
load_from = None
train_cfg = dict(max_epochs={{_base_.epochs}})
model = dict(size=(side, side), classes=len(names), norm_cfg=dict(type='BN'))
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'base.py').write_text(BASE)
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return str(path)


def test_a_variable_that_the_file_writes_out_changes_what_is_made_of_it(config):
    cfg = read_config(config, {'side': 64, 'names': ['a', 'b', 'c']})
    assert (cfg.side, cfg.model.size, cfg.model.classes) == (64, (64, 64), 3)
    assert cfg.train_cfg.max_epochs == 9
    assert cfg.filename == config


def test_a_single_name_makes_a_tuple_of_one(config):
    assert read_config(config, {'names': 'a'}).names == ('a',)


def test_settings_are_merged_after_variables(config):
    cfg = read_config(config, {'model.size': 5, 'side': 64, 'load_from': 'x.pth', 'randomness.seed': 3})
    assert (cfg.model.size, cfg.load_from, cfg.randomness.seed) == (5, 'x.pth', 3)


def test_a_variables_own_value_is_no_fault(config):
    assert read_config(config, {'note': 'of the run'}).note == 'of the run'


REFUSED = {
    "a variable of another file is refused with the setting's name": (
        {'data_root': 'there'},
        r'data_root would change nothing.*change train_dataloader\.dataset\.data_root=\.\.\. instead',
    ),
    'a variable that nothing is made of': ({'note': 'x'}, r"'note' is a variable of .*no runner reads it"),
    'a misspelled setting': (
        {'train_dataloder.batch_size': 4},
        r"has no 'train_dataloder'.*is train_dataloader\.batch_size meant\?",
    ),
    'a name like nothing': ({'xyzzy': 4}, "has no 'xyzzy', and no runner reads it. Where code of yours"),
    'one of several': ({'side': 64, 'epochs': 1}, r'epochs would change nothing'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_would_change_nothing_is_refused_in_a_sentence(case, config):
    options, message = REFUSED[case]
    with pytest.raises(SystemExit) as error:
        read_config(config, options)
    assert re.search(message, str(error.value))
    assert '\n' not in str(error.value)


def test_a_value_with_which_the_file_does_not_run_is_named(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('side = 32\nmodel = dict(half=side // 2)')
    with pytest.raises(SystemExit, match=r"cannot be read with side='x': TypeError"):
        read_config(str(path), {'side': 'x'})


def test_a_written_config_whose_settings_are_written_out_refuses_its_variables(config, tmp_path):
    """As the one in a work dir: the variables stand in it, and nothing follows from them."""
    written = str(tmp_path / 'written.py')
    read_config(config).dump(written)
    with pytest.raises(SystemExit, match='side would change nothing'):
        read_config(written, {'side': 64})


def test_a_setting_inside_a_variable_is_refused_with_its_place(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("norm_cfg = dict(type='BN')\nmodel = dict(head=dict(norm_cfg=norm_cfg))")
    with pytest.raises(SystemExit, match=r'change model\.head\.norm_cfg\.type=\.\.\. instead'):
        read_config(str(path), {'norm_cfg.type': 'GN'})


def test_variables_of_the_environment_do_not_hinder_others(tmp_path):
    """mmengine writes them in double braces, which Python reads as a set in a set."""
    path = tmp_path / 'config.py'
    path.write_text("n = {{'$SIDE:8'}}\nk = 3\nmodel = dict(type='X', n=n, k=k)\n")
    assert read_config(str(path), {'k': 4}).model.k == 4
