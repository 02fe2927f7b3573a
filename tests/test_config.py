"""--cfg-options override settings or are rejected; configs in checkpoints are parsed and compared,
but never run.
"""

import re

import pytest
from mmengine.config import Config

from mmgcvit.config import get_plain_settings, iter_differences, read_config
from mmgcvit.errors import UserError

from .conftest import ROOT

CONFIG = """
data_root = 'data/here'
norm_cfg = dict(type='BN')
load_from = None
train_dataloader = dict(dataset=dict(data_root=data_root), batch_size=2)
model = dict(size=(32, 32), norm_cfg=norm_cfg)
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return path


def test_cfg_options_override_and_add_settings(config):
    options = {
        'load_from': 'x.pth',
        'randomness.seed': 3,
        'model.size': 5,
        'train_dataloader.batch_size': 4,
    }
    cfg = read_config(config, options)
    assert (
        cfg.load_from,
        cfg.randomness.seed,
        cfg.model.size,
        cfg.train_dataloader.batch_size,
    ) == ('x.pth', 3, 5, 4)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            'data_root',
            r"would have no effect, because 'data_root' is not a setting but a variable in .*config\.py",
        ),
        ('norm_cfg.type', 'Edit it there, or override the settings that use it$'),
        (
            'train_dataloder.batch_size',
            r'Runner reads no such setting; did you mean train_dataloader\.batch_size\?',
        ),
        ('xyzzy', "has no setting 'xyzzy', and mmengine's Runner reads no such setting$"),
    ],
)
def test_cfg_options_without_effect_are_rejected(name, message, config):
    with pytest.raises(UserError) as error:
        read_config(config, {'load_from': 'x.pth', name: 1})
    assert re.search(message, str(error.value))
    assert '\n' not in str(error.value)


def test_config_of_another_task_names_the_extra_of_its_missing_package(monkeypatch):
    monkeypatch.setattr('mmengine.config.config.is_installed', lambda package: False)
    for name, package, extra in (
        ('keypoints', 'mmpose', 'keypoints'),
        ('rotated_fcos', 'mmrotate', 'rotated'),
    ):
        with pytest.raises(
            UserError, match=rf'needs {package}, which is not installed\. Run: .*mmgcvit\[{extra}\]'
        ):
            read_config(ROOT / 'configs' / 'other_tasks' / f'{name}_gcvit_t.py')


def test_error_of_a_broken_config_names_file_and_line(tmp_path):
    path = tmp_path / 'config.py'
    for content, reason in (
        ('a = 1\nb = c\n', f"NameError: name 'c' is not defined ({path}, line 2)"),
        ('a = (', "SyntaxError: '(' was never closed"),
        (
            "custom_imports = dict(imports=['no_such'])",
            'it imports no_such, which Python does not find. Add the folder that contains',
        ),
        ("_base_ = 'mmdet::dino/none.py'", 'mmdet/.mim/configs/dino/none.py" does not exist'),
        ("_base_ = 'mmyolo::yolo/none.py'", 'ModuleNotFoundError: mmyolo is not installed'),
    ):
        path.write_text(content)
        with pytest.raises(UserError) as error:
            read_config(path)
        assert str(error.value).startswith(f'{path}: it ')
        assert reason in str(error.value)
        assert '\n' not in str(error.value)


def test_settings_in_types_of_json_have_values_of_all_types():
    model = {'type': int, 'a-b': {'c': [1, -2.5]}, 1: [{'d': None}, ()], 'text': 'dict(a=b)'}
    settings = get_plain_settings(
        Config({'model': model, 'data_preprocessor': {'type': 'P'}, 'my_variable': 1})
    )
    expected = {'type': 'int', 'a-b': {'c': [1, -2.5]}, '1': [{'d': None}, []], 'text': 'dict(a=b)'}
    assert settings == {'model': {**expected, 'data_preprocessor': {'type': 'P'}}}


def test_differences_have_dotted_names_and_a_size_is_one_setting():
    then = {
        'model': {'a': 1, 'b': {'c': 2}},
        'train_cfg': {'steps': [{'size': (8, 8), 'same': [1, 2]}, {'x': 1}], 'n': [1]},
    }
    now = {
        'model': {'a': 1, 'd': 3},
        'train_cfg': {'steps': [{'size': (8, 9), 'same': (1, 2)}, {'x': 1.0}], 'n': [1, 2]},
    }
    then, now = (get_plain_settings(Config(settings)) for settings in (then, now))
    assert [words for _, words in iter_differences(then, now)] == [
        "model.b: {'c': 2} -> (none)",
        'model.d: (none) -> 3',
        'train_cfg.steps.0.size: [8, 8] -> [8, 9]',
        'train_cfg.n: [1] -> [1, 2]',
    ]
