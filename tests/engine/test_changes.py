"""A resumed run with other settings: which may change, which are refused, and what becomes of accepted ones."""

import shutil
from io import StringIO

import pytest
import torch
from mmengine.config import Config
from rich.console import Console

from mmgcvit.checkpoints import read_checkpoint, save_whole
from mmgcvit.engine.changes import RESUMED_WITH, have_same_past, may_change, table_of
from mmgcvit.hosts.comparing import Difference, differences, plain_settings

from ..checkpoints.toy import ToyImages
from .calling import CONFIG, as_before, call

pytestmark = pytest.mark.usefixtures('as_before')
__all__ = ['as_before']

TRAIN, VAL = 'train_dataloader.dataset', 'val_dataloader.dataset'
# Of custom_coco, set otherwise: the resumed run is still that run, or it is not.
MAY = {
    'train_cfg': {'max_epochs': 50, 'val_interval': 5},
    'default_hooks.checkpoint.interval': 5,
    'default_hooks.visualization': {'type': 'DetVisualizationHook'},
    'default_hooks.skip_nonfinite.max_consecutive': 5,
    'work_dir': 'x',
    'launcher': 'slurm',
    'log_level': 'WARNING',
    'visualizer.line_width': 5,
    'data_checks': {'images': 3},
    'strategy': {'type': 'FSDPStrategy'},
    'env_cfg.cudnn_benchmark': True,
    'model.backbone.with_cp': True,
    'model.backbone.init_cfg.checkpoint': 'x.pth',
    'optim_wrapper.type': 'AmpOptimWrapper',
    'optim_wrapper.constructor': 'DefaultOptimWrapperConstructor',
    'optim_wrapper.optimizer.fused': False,
    'train_dataloader.num_workers': 7,
    'train_dataloader.batch_size': 1,
    f'{TRAIN}.data_root': '/moved',
    f'{TRAIN}.ann_file': '/moved/train.json',
    f'{TRAIN}.data_prefix.img': '/moved/train',
    'val_dataloader.batch_size': 4,
    'val_evaluator.ann_file': '/moved/val.json',
    'test_dataloader.dataset.pipeline.2.scale': (3, 3),
}
MAY_NOT = {
    'default_scope': 'mmseg',
    'model.backbone.drop_path_rate': 0.5,
    'model.backbone.type': 'SwinTransformer',
    'model.roi_head.bbox_head.num_classes': 3,
    'model.data_preprocessor.bgr_to_rgb': False,
    f'{TRAIN}.ann_file': 'annotations/other.json',
    f'{TRAIN}.data_prefix.img': 'other/',
    f'{TRAIN}.metainfo.classes': ('a', 'b'),
    f'{TRAIN}.pipeline.3.prob': 0.1,
    'train_dataloader.sampler.shuffle': False,
    f'{VAL}.ann_file': 'annotations/other.json',
    f'{VAL}.pipeline.2.scale': (3, 3),
    'optim_wrapper.optimizer': {'lr': 1.0},
    'optim_wrapper.clip_grad': {'max_norm': 1},
    'optim_wrapper.constructor': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'param_scheduler.1.gamma': 0.5,
    'custom_hooks': [{'type': 'EMAHook'}],
    'default_hooks.ema': {'type': 'EMAHook'},
    'default_hooks.param_scheduler': None,
    'default_hooks.sampler_seed': None,
}


def refused(cfg, name, value, is_exact=True):
    """What is refused of a config with one setting otherwise."""
    now = cfg.copy()
    now.merge_from_dict({name: value})
    found = list(differences(plain_settings(cfg), plain_settings(now)))
    assert found, name
    return [each.name for each in found if not may_change(each, same_past=False, is_exact=is_exact)]


def test_the_table_of_what_may_change():
    cfg = Config.fromfile('configs/custom_coco.py')
    assert [name for name, value in MAY.items() if refused(cfg, name, value)] == []
    assert [name for name, value in MAY_NOT.items() if not refused(cfg, name, value)] == []
    assert refused(cfg, 'train_dataloader.batch_size', 1, is_exact=False), 'nobody else compares it'


def test_only_what_schedules_have_done_counts():
    """After 6 epochs, 600 iterations."""
    meta = {'epoch': 6, 'iter': 600}

    steps = {'type': 'MultiStepLR', 'by_epoch': True, 'begin': 0, 'end': 12, 'milestones': [4, 8], 'gamma': 0.1}
    cosine = {'type': 'CosineAnnealingLR', 'begin': 1, 'T_max': 12}
    for then, now, expected in (
        (steps, {**steps, 'end': 24}, True),
        (steps, {**steps, 'milestones': [4, 9, 11]}, True),
        (steps, {**steps, 'milestones': [5, 8]}, False),
        (steps, {**steps, 'gamma': 0.2}, False),
        (cosine, {**cosine, 'T_max': 24}, False),
        (cosine, [cosine, {'type': 'LinearLR', 'begin': 6, 'end': 8}], True),
        (cosine, [cosine, {'type': 'LinearLR', 'by_epoch': False, 'begin': 599, 'end': 700}], False),
        ({'model': [steps]}, {'model': [{**steps, 'end': 24}]}, True),
        ({'model': [steps]}, {'model': [cosine]}, False),
        (None, [{'type': 'LinearLR', 'begin': 7}], True),
    ):
        assert have_same_past(then, now, meta) == expected, (then, now)
    for odd in ('abc', 7, [{'begin': 0}], ['abc'], [{**steps, 'milestones': None}], [{**steps, 'begin': 'a'}]):
        assert not have_same_past(odd, steps, meta), odd


@pytest.fixture(scope='module')
def before(tmp_path_factory):
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp('runs') / 'run'
    assert call('train', CONFIG, '--work-dir', folder) is None
    return folder


@pytest.fixture
def run_dir(before, tmp_path):
    return shutil.copytree(before, tmp_path / 'run')


def resumed(folder, *options, changes=False, config=CONFIG):
    more = ['--resume-with-changes'] if changes else []
    return call('train', config, '--work-dir', folder, '--resume', *more, options=['train_cfg.max_epochs=3', *options])


def last(folder):
    return read_checkpoint((folder / 'last_checkpoint').read_text())


def test_names_in_the_table_are_not_broken_at_80_columns():
    name = 'val_dataloader.dataset.pipeline.1.scale'
    screen = Console(width=80, file=StringIO())
    screen.print(table_of([Difference(tuple(name.split('.')), '/a' * 30, '/b' * 30)], []))
    assert name in screen.file.getvalue()


def test_a_longer_run_in_another_folder_goes_on_and_is_shown_in_a_table(run_dir, capfd):
    assert resumed(run_dir) is None
    printed = capfd.readouterr().out
    assert 'train_cfg.max_epochs' in printed
    assert 'load_from' not in printed.split('train_cfg.max_epochs')[0]
    assert last(run_dir)['meta']['epoch'] == 3
    assert RESUMED_WITH not in last(run_dir)['meta']


def test_what_changes_the_run_is_refused_unless_it_is_accepted_then_it_takes_effect_and_is_written_down(run_dir, capfd):
    """A learning rate, which mmengine would take from the checkpoint whatever the config says."""
    option, name = 'optim_wrapper.optimizer.lr=0.004', 'optim_wrapper.optimizer.lr'
    said = resumed(run_dir, option)
    assert f'{name}: 0.001 → 0.004' in said
    assert '--resume-with-changes' in said
    rate = last(run_dir)['optimizer']['param_groups'][0]['lr']
    assert resumed(run_dir, option, 'log_level=INFO', changes=True) is None
    content = last(run_dir)
    (line,) = content['meta'][RESUMED_WITH]
    assert line == f'epoch 2, iteration 2: {name}: 0.001 → 0.004'
    # A schedule of a run that had it from the start.
    group = content['optimizer']['param_groups'][0]
    assert group['initial_lr'] == 0.004
    assert group['lr'] == pytest.approx(4 * rate * (0.5 + 3 / 18) / (0.5 + 2 / 18))
    assert line in (log := ''.join(path.read_text() for path in run_dir.glob('*/*.log')))
    assert 'resumed with other settings' in log
    # The next one is compared with what is in effect now, and its checkpoints still tell.
    capfd.readouterr()
    assert 'lr: 0.004 → 0.001' in resumed(run_dir, 'train_cfg.max_epochs=4')
    assert resumed(run_dir, option, 'train_cfg.max_epochs=4') is None
    assert last(run_dir)['meta'][RESUMED_WITH] == [line]


def test_a_setting_that_is_no_plain_value_is_compared_as_text_and_the_rest_as_ever(run_dir):
    config = run_dir.parent / 'toy_config.py'
    content = last(run_dir)
    content['meta']['cfg'] += '\nenv_cfg = dict(a=range(3, 4))\n'
    save_whole(content, run_dir / 'epoch_2.pth')
    config.write_text(f'_base_ = {CONFIG!r}\nenv_cfg = dict(a=range(3, 4))\noptim_wrapper = dict(clip_grad=range(2))\n')
    said = resumed(run_dir, 'optim_wrapper.optimizer.lr=0.7', config=config)
    assert 'optim_wrapper.optimizer.lr: 0.001 → 0.7' in said
    assert 'optim_wrapper.clip_grad: (none) → ' in said
    assert 'default_scope' not in said


def test_what_was_not_compared_is_said_as_it_is(run_dir, capfd):
    for text, why in ((None, 'does not say what config'), ('model = <odd>', 'cannot be read')):
        content = last(run_dir)
        content['meta']['cfg'] = text
        save_whole(content, run_dir / 'epoch_2.pth')
        folder = shutil.copytree(run_dir, run_dir.parent / why.replace(' ', '_'))
        (folder / 'last_checkpoint').unlink()
        assert resumed(folder, changes=True) is None
        (line,) = last(folder)['meta'][RESUMED_WITH]
        assert why in line, line


def test_a_config_that_resumes_is_compared_too(run_dir):
    said = call('train', CONFIG, '--work-dir', run_dir, options=['resume=True', 'optim_wrapper.optimizer.lr=0.004'])
    assert 'optim_wrapper.optimizer.lr: 0.001 → 0.004' in said
    assert last(run_dir)['meta']['epoch'] == 2


def test_a_run_with_a_group_for_each_parameter_goes_on_in_few_and_exactly_where_it_is_told_to(tmp_path):
    """As runs before there was a constructor of this package, whose configs named none."""
    rules = ['optim_wrapper.paramwise_cfg.norm_decay_mult=0.0', 'optim_wrapper.optimizer.weight_decay=0.1']
    assert call('train', CONFIG, '--work-dir', tmp_path / 'begun', options=rules) is None
    number = len(last(tmp_path / 'begun')['optimizer']['param_groups'])
    assert number > 50
    ends = []
    for constructor, fused, groups, rounding in (
        *((None, None, number, 0.0), ('DefaultOptimWrapperConstructor', None, number, 0.0)),
        *(
            ('mmgcvit.MergingOptimWrapperConstructor', fused, 2, 0.0 if fused is False else 1e-5)
            for fused in (False, None)
        ),
    ):
        folder = shutil.copytree(tmp_path / 'begun', tmp_path / f'{constructor} {fused}')
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
        options = {'optim_wrapper.constructor': constructor, 'optim_wrapper.optimizer.fused': fused}
        set_otherwise = [f'{name}={value}' for name, value in options.items() if value is not None]
        assert resumed(folder, *rules, *set_otherwise, 'log_level=INFO') is None
        ends.append(last(folder))
        assert len(ends[-1]['optimizer']['param_groups']) == groups
        log = ''.join(path.read_text() for path in folder.glob('*/*.log'))
        assert (f'{number} groups have become 2' in log) == (groups == 2)
        for part in ('state_dict', 'ema_state_dict'):
            torch.testing.assert_close(ends[-1][part], ends[0][part], atol=rounding, rtol=rounding)


def test_a_longer_schedule_is_refused_with_what_to_do(run_dir):
    config = run_dir.parent / 'toy_config.py'
    config.write_text(f"_base_ = {CONFIG!r}\nparam_scheduler = [dict(type='LinearLR', by_epoch=False, end=99)]\n")
    assert 'keep param_scheduler as it was, and set train_cfg.max_epochs' in resumed(run_dir, config=config)


def test_a_schedules_future_may_change_and_takes_effect(run_dir):
    """mmengine takes the checkpoint's, whatever the config says."""
    config, name = run_dir.parent / 'toy_config.py', 'param_scheduler'
    linear = {'type': 'LinearLR', 'start_factor': 0.5, 'by_epoch': False, 'end': 10}
    later = {'type': 'ConstantLR', 'factor': 0.1, 'begin': 2, 'end': 9}
    for schedules in ([linear | {'end': 9}], [linear, later | {'begin': 0}]):
        config.write_text(f'_base_ = {CONFIG!r}\n{name} = {schedules}\n')
        assert name in resumed(run_dir, config=config)
    rate = last(run_dir)['optimizer']['param_groups'][0]['lr']
    config.write_text(f'_base_ = {CONFIG!r}\n{name} = {[linear, later]}\n')
    assert resumed(run_dir, config=config) is None
    assert last(run_dir)['optimizer']['param_groups'][0]['lr'] < 0.2 * rate


def test_other_images_in_a_step_are_accepted_too(run_dir):
    option = 'train_dataloader.batch_size=1'
    assert '--resume-with-changes' in resumed(run_dir, option)
    assert resumed(run_dir, option, changes=True) is None
    assert last(run_dir)['meta']['iter'] == 6
    (line,) = last(run_dir)['meta'][RESUMED_WITH]
    assert line.startswith('epoch 2, iteration 2: images in a step: 2 (1 processes x 2 images x 1 accumulated) → 1 (')


def test_a_data_set_of_another_size_is_another(run_dir, monkeypatch):
    """Whose settings are the same."""
    monkeypatch.setattr(ToyImages, '__len__', lambda _: 3)
    assert "make 1 iterations an epoch, and the run's 2" in resumed(run_dir)
    assert resumed(run_dir, changes=True) is None
    assert last(run_dir)['meta']['epoch'] == 3
    assert last(run_dir)['meta'][RESUMED_WITH] == ['epoch 2, iteration 2: iterations an epoch: 1 → 2']
