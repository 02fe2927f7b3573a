"""--cfg-options without effect are rejected, and errors of configs are explained."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.host.config import can_draw_predictions, locate_config, read_config
from mmgcvit.predict.model_files import find_model_files

from ..conftest import ROOT


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            'norm_cfg.type',
            r"no effect, because 'norm_cfg' is not a setting but a variable in .*config\.py or its "
            r'_base_\. Edit it there, or override the settings that use it$',
        ),
        (
            'train_dataloder.batch_size',
            r'Runner reads no such setting; did you mean train_dataloader\.batch_size\?',
        ),
        ('self', "has no setting 'self'"),
        ('xyzzy', "has no setting 'xyzzy', and mmengine's Runner reads no such setting$"),
    ],
)
def test_cfg_options_without_effect_are_rejected(name, message, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("norm_cfg = {'type': 'BN'}\ntrain_dataloader = {}")
    with pytest.raises(UserError) as error:
        read_config(config, {'load_from': 'x.pth', name: 1})
    assert re.search(message, str(error.value))
    assert '\n' not in str(error.value)


def test_a_variable_without_effect_is_named_with_all_settings_that_use_it(tmp_path):
    """To override some of them would score other annotations than the dataset's."""
    config = tmp_path / 'config.py'
    config.write_text(
        "val_annotations = 'val.json'\n"
        "val_dataloader = {'dataset': {'data_root': 'data', 'ann_file': val_annotations}}\n"
        "val_evaluator = [{'ann_file': f'data/{val_annotations}'}]\n"
    )
    with pytest.raises(UserError) as error:
        read_config(config, {'val_annotations': 'other.json'})
    users = 'val_dataloader.dataset.ann_file, val_evaluator.0.ann_file'
    assert str(error.value).endswith(f'override all settings that use it: {users}')


def test_config_of_another_task_names_its_missing_package(monkeypatch):
    monkeypatch.setattr('mmengine.config.config.is_installed', lambda package: False)
    for name, package in (('keypoints', 'mmpose'), ('rotated_fcos', 'mmrotate')):
        message = rf'needs {package}, which is not installed\. docs/other_tasks\.md says'
        with pytest.raises(UserError, match=message):
            read_config(ROOT / 'configs' / 'other_tasks' / f'{name}_gcvit_t.py')


@pytest.mark.parametrize('prefix', ['', 'configs/', 'mmgcvit::'])
@pytest.mark.parametrize('suffix', ['', '.py'])
def test_configs_of_the_project_are_found_by_name_without_a_clone(prefix, suffix, empty_folder):
    """Relative paths to existing files come first."""
    name = f'{prefix}demo/mask_rcnn_gcvit_objects{suffix}'
    assert locate_config(name) == str(ROOT / 'configs' / 'demo' / 'mask_rcnn_gcvit_objects.py')
    assert find_model_files(name).checkpoint.endswith('weights/mask_rcnn_gcvit_objects.safetensors')
    Path(name).parent.mkdir(parents=True)
    Path(name).touch()
    assert locate_config(name) == name
    assert locate_config('no_such') == 'no_such'


def test_error_of_a_broken_config_names_file_and_line(tmp_path):
    path = tmp_path / 'config.py'
    for content, reason in (
        ('a = 1\nb = c\n', f"NameError: name 'c' is not defined ({path}, line 2)"),
        ("assert 0, 'not so'", f'AssertionError: not so ({path}, line 1)'),
        ('a = (', "SyntaxError: '(' was never closed"),
        ("custom_imports = dict(imports=['no_such'])", "No module named 'no_such'"),
        ("_base_ = 'mmdet::dino/none.py'", 'mmdet/.mim/configs/dino/none.py" does not exist'),
        ("_base_ = 'mmyolo::yolo/none.py'", 'ModuleNotFoundError: mmyolo is not installed'),
    ):
        path.write_text(content)
        with pytest.raises(UserError) as error:
            read_config(path)
        assert str(error.value).startswith(f'{path}: it ')
        assert reason in str(error.value)
        assert '\n' not in str(error.value)


def test_a_base_of_this_project_with_colons_is_answered_with_the_line_that_works(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'mmgcvit::mask_rcnn_gcvit_t.py'\n")
    with pytest.raises(UserError) as error:
        read_config(config)
    line = re.search(r'Write (_base_ = .*)', str(error.value))[1]
    config.write_text(f'{line}\n')
    assert read_config(config).model.type == 'MaskRCNN'


@pytest.mark.parametrize(
    ('name', 'suggested'),
    [
        ('mask_rcnn_gcvit_objects', 'demo/mask_rcnn_gcvit_objects'),
        ('mask_rcnn_gcvit_tt', 'mask_rcnn_gcvit_t'),
        ('mask2former_gcvit_t', 'other_heads/mask2former_gcvit_t'),
    ],
)
def test_a_wrong_name_of_a_config_is_answered_with_one_that_is_found(name, suggested):
    with pytest.raises(UserError, match=f'did you mean {suggested}[?]'):
        read_config(name)
    assert Path(locate_config(suggested)).is_file()


@pytest.mark.parametrize('name', ['tta_model.type', 'tta_pipeline', 'load_from', 'data_checks.x'])
def test_settings_that_programs_beside_the_runner_read_are_overridden(name, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("tta_model = {'type': 'A'}\ntta_pipeline = 1\nload_from = 1")
    cfg = read_config(config, {name: 2})
    key, _, subkey = name.partition('.')
    assert (cfg[key][subkey] if subkey else cfg[key]) == 2


@pytest.mark.parametrize(
    ('scope', 'model', 'can_draw'),
    [
        ('mmdet', {'type': 'MaskRCNN'}, True),
        ('mmdet', {'type': 'ByteTrack', 'tracker': {}}, False),
        ('mmpose', {'type': 'TopdownPoseEstimator'}, False),
        (None, {'type': 'MaskRCNN'}, False),
    ],
)
def test_predictions_of_detectors_are_drawn_and_of_trackers_and_others_not(scope, model, can_draw):
    assert can_draw_predictions(Config({'default_scope': scope, 'model': model})) == can_draw
