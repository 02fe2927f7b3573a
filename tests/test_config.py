"""An option that names a variable of a config file takes effect or is refused in a sentence that says what does."""

import importlib
import re

import pytest

from mmgcvit.config import read_config
from mmgcvit.errors import UserError

from .conftest import ROOT

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
divisor = 2
half = side // divisor
train_cfg = dict(max_epochs={{_base_.epochs}})
model = dict(size=(side, side), classes=len(names), norm_cfg=dict(type='BN'))
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'base.py').write_text(BASE)
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return str(path)


def test_a_variable_that_the_file_writes_out_changes_what_is_made_of_it_and_settings_are_merged_after(config):
    cfg = read_config(config, {'side': 64, 'names': ['a', 'b', 'c'], 'load_from': 'x.pth', 'randomness.seed': 3})
    assert (cfg.side, cfg.model.size, cfg.model.classes) == (64, (64, 64), 3)
    assert (cfg.load_from, cfg.randomness.seed, cfg.train_cfg.max_epochs, cfg.filename) == ('x.pth', 3, 9, config)
    assert read_config(config, {'model.size': 5, 'side': 64}).model.size == 5
    assert read_config(config, {'names': 'a'}).names == ('a',), 'a single name makes a tuple of one'
    assert read_config(config, {'note': 'of the run'}).note == 'of the run', 'its own value is no fault'


REFUSED = [
    ({'data_root': 'there'}, r'would change nothing.*change train_dataloader\.dataset\.data_root=\.\.\. instead'),
    ({'note': 'x'}, r"'note' is a variable of .*no runner reads it"),
    ({'train_dataloder.batch_size': 4}, r"has no 'train_dataloder'.*is train_dataloader\.batch_size meant\?"),
    ({'xyzzy': 4}, "has no 'xyzzy', and no runner reads it. Where code of yours"),
    ({'side': 64, 'epochs': 1}, r'epochs would change nothing'),
    ({'divisor': 0}, 'cannot be read with divisor=0: ZeroDivisionError'),
]


def test_what_would_change_nothing_is_refused_in_a_sentence(config):
    for options, message in REFUSED:
        with pytest.raises(UserError) as error:
            read_config(config, options)
        assert re.search(message, str(error.value))
        assert '\n' not in str(error.value)
    with pytest.raises(UserError, match=r'there is no config gcvit_xtiny\.py.*is .*/configs/gcvit_xt_in1k\.py meant\?'):
        read_config('gcvit_xtiny.py')


def test_a_setting_inside_a_variable_and_a_written_config_whose_settings_are_written_out_are_refused(config, tmp_path):
    """As the one in a work dir: the variables stand in it, and nothing follows from them."""
    path, written = tmp_path / 'inside.py', str(tmp_path / 'written.py')
    path.write_text("norm_cfg = dict(type='BN')\nmodel = dict(head=dict(norm_cfg=norm_cfg))")
    with pytest.raises(UserError, match=r'change model\.head\.norm_cfg\.type=\.\.\. instead'):
        read_config(str(path), {'norm_cfg.type': 'GN'})
    read_config(config).dump(written)
    with pytest.raises(UserError, match='side would change nothing'):
        read_config(written, {'side': 64})


def test_variables_of_the_environment_do_not_hinder_others(tmp_path):
    """mmengine writes them in double braces, which Python reads as a set in a set."""
    path = tmp_path / 'config.py'
    path.write_text("n = {{'$SIDE:8'}}\nk = 3\nmodel = dict(type='X', n=n, k=k)\n")
    assert read_config(str(path), {'k': 4}).model.k == 4


def test_a_config_inherits_from_those_of_all_hosts_whatever_distributions_they_are_of(tmp_path):
    """mmengine looks for mmseg by the name of a distribution, which the maintained fork has not."""
    for number, (base, scope) in enumerate(
        (
            ('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', 'mmdet'),
            ('mmseg::upernet/upernet_r50_4xb4-80k_ade20k-512x512.py', 'mmseg'),
            ('mmseg::_base_/models/upernet_r50.py', 'mmseg'),
            ('mmpretrain::resnet/resnet50_8xb32_in1k.py', 'mmpretrain'),
        )
    ):
        path = tmp_path / f'{number}.py'
        path.write_text(f'_base_ = {base!r}')
        assert read_config(path).model['_scope_'] == scope, base
    with pytest.raises(ImportError):
        importlib.import_module('mmsegmentation')


def test_a_config_of_another_task_names_the_extra_that_brings_its_host(monkeypatch):
    monkeypatch.setattr('mmengine.config.config.is_installed', lambda host: False)
    for name, host, extra in (('keypoints', 'mmpose', 'keypoints'), ('rotated_fcos', 'mmrotate', 'rotated')):
        with pytest.raises(UserError, match=rf"needs {host}, not installed here: pip install 'mmgcvit\[{extra}\]'"):
            read_config(ROOT / 'configs' / 'other_tasks' / f'{name}_gcvit_t.py')


def test_why_a_config_cannot_be_read_is_said_in_a_sentence_with_its_line(tmp_path):
    path = tmp_path / 'config.py'
    for content, reason in (
        ('a = 1\nb = c\n', f"NameError: name 'c' is not defined ({path}, line 2)"),
        ('a = (', "SyntaxError: '(' was never closed"),
        ("custom_imports = dict(imports=['no_such'])", "ModuleNotFoundError: No module named 'no_such'"),
        ("_base_ = 'mmseg::upernet/none.py'", 'mmseg/.mim/configs/upernet/none.py" does not exist'),
        ("_base_ = 'mmyolo::yolo/none.py'", 'ModuleNotFoundError: mmyolo is not installed'),
    ):
        path.write_text(content)
        with pytest.raises(UserError) as error:
            read_config(path)
        assert str(error.value).startswith(f'{path}: it is no config: ')
        assert reason in str(error.value)
        assert '\n' not in str(error.value)
