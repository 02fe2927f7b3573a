"""A test reads weights only, checks its data and its classes, and its data workers ignore signals."""

from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.config import Config

from mmgcvit.engine import test as engine
from mmgcvit.engine.interrupts import start_worker

DATASET = {'type': 'mmdet.CocoDataset', 'pipeline': [{'type': 'LoadImageFromFile'}]}


@pytest.fixture
def steps(monkeypatch):
    """Replace the steps of a test by mocks. Return them by name."""
    names = ('check_settings', 'disable_lora', 'join_process_group', 'read_model_checkpoint')
    names += ('check_data', 'fit_checkpoint', 'check_class_names', 'find_unscored', 'stop_workers')
    steps = {name: mock.Mock(return_value=None) for name in names}
    steps['read_model_checkpoint'].return_value = mock.Mock(
        source='x.pth', content={'meta': {'dataset_meta': {'classes': ['dog', 'cow']}}}
    )
    for name, step in steps.items():
        monkeypatch.setattr(engine, name, step)
    runner = mock.Mock()
    runner.test_loop.dataloader.worker_init_fn = mock.sentinel.own
    runner.test_loop.dataloader.dataset.metainfo = {'classes': ('cat', 'dog')}

    @contextmanager
    def open_runner(cfg, *_):
        runner.cfg = cfg
        yield runner

    monkeypatch.setattr(engine, 'open_runner', open_runner)
    return SimpleNamespace(runner=runner, **steps)


def run_test(folder, **settings):
    cfg = Config(
        {
            'default_scope': 'mmdet',
            'work_dir': str(folder),
            'resume': True,
            'model': {'type': 'MaskRCNN'},
            'test_dataloader': {'dataset': DATASET},
            **settings,
        }
    )
    tta = 'tta_model' in settings
    engine.run_test(cfg, 'run', tta=tta)
    return cfg


@pytest.mark.parametrize('unscored', [None, 'no objects'])
def test_a_test_is_checked_and_prepared(unscored, steps, tmp_path):
    steps.find_unscored.return_value = unscored
    cfg = run_test(tmp_path)
    runner = steps.runner
    assert (cfg.load_from, cfg.resume) == ('x.pth', False)
    assert steps.check_data.call_args.args[1] == ['test_dataloader']
    assert steps.disable_lora.call_args.args == (cfg.model,)
    assert steps.check_class_names.call_args.args == ('x.pth', ['dog', 'cow'], ('cat', 'dog'))
    start = runner.test_loop.dataloader.worker_init_fn
    assert (start.func, start.args) == (start_worker, (mock.sentinel.own,))
    said = [call.args[0] for call in runner.logger.warning.call_args_list]
    assert said == [f'the test images have {unscored}, so their scores say nothing'] * bool(
        unscored
    )
    assert runner.test.called
    assert steps.stop_workers.call_args.args == (runner.test_dataloader,)


def test_an_augmented_test_has_the_model_and_the_pipeline_of_the_config(steps, tmp_path):
    pipeline = [{'type': 'TestTimeAug'}]
    cfg = run_test(tmp_path, tta_model={'type': 'DetTTAModel'}, tta_pipeline=pipeline)
    assert cfg.model.type == 'DetTTAModel'
    assert cfg.model.module.type == 'MaskRCNN'
    assert cfg.test_dataloader.dataset.pipeline == pipeline
