"""Sheets at each validation show the same images, truth and prediction, and change nothing; of a test all are drawn."""

import logging
import random
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.visualization import LocalVisBackend

from mmgcvit.files import write_image
from mmgcvit.inference.drawing import palette_of
from mmgcvit.registry import HOOKS
from mmgcvit.visualization.judging import truths_of
from mmgcvit.visualization.predictions import FOLDER, PredictionPicturesHook, PredictionSheetHook
from mmgcvit.visualization.sheets import CAPTION, CELL, COLUMNS

from ..conftest import ROOT
from .conftest import config_of


class Tracker:
    def __init__(self):
        self.shown = []

    def add_image(self, name, image, step):
        self.shown.append((name, image, step))


@pytest.fixture
def runner(model, task, data, tmp_path, monkeypatch):
    """A runner as far as hooks look at it."""
    monkeypatch.setenv('DIGITS', str(data))
    cfg = config_of(task)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        loader = Runner.build_dataloader(cfg.val_dataloader)
    backends = {'local': LocalVisBackend(str(tmp_path)), 'tracker': Tracker()}
    return SimpleNamespace(
        val_dataloader=loader,
        test_dataloader=loader,
        model=model.network,
        cfg=cfg,
        work_dir=str(tmp_path),
        iter=0,
        epoch=1,
        val_loop=object(),
        train_loop=IterBasedTrainLoop.__new__(IterBasedTrainLoop) if task == 'segmentation' else None,
        visualizer=SimpleNamespace(_vis_backends=backends),
        logger=logging.getLogger('sheets'),
    )


def validate(hook, runner, loop='val'):
    """What a validation, or a test, calls of a hook."""
    if loop == 'test':
        hook.before_test(runner)
    else:
        hook.before_val_epoch(runner)
    with DefaultScope.overwrite_default_scope(runner.cfg.default_scope), torch.no_grad():
        for number, batch in enumerate(runner.val_dataloader):
            outputs = runner.model.val_step(batch)
            getattr(hook, f'after_{loop}_iter')(runner, number, batch, outputs)
    if loop == 'val':
        hook.after_val_epoch(runner)


def drawn_after(hook, runner):
    """What the generators give after a validation; data loaders draw their seeds."""
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    validate(hook, runner)
    return random.random(), np.random.rand(), torch.rand(()).item()


def sheet_of(runner, step):
    return cv2.imread(f'{runner.work_dir}/{FOLDER}/{step}.jpg')


def test_a_sheet_shows_the_same_images_each_time_and_draws_no_random_number(runner, task, tmp_path):
    hook = HOOKS.build({'type': 'mmgcvit.PredictionSheetHook', 'score_thr': 0.0})
    earlier = write_image(tmp_path / FOLDER / 'epoch_99.jpg', np.zeros((8, 8, 3), np.uint8))
    hook.before_train(runner)
    by = 'iter' if task == 'segmentation' else 'epoch'
    for step in (1, 2):
        runner.epoch = runner.iter = step
        assert drawn_after(hook, runner) == drawn_after(PredictionSheetHook(images=0), runner)
    assert not earlier.exists()
    shown = min(8, len(runner.val_dataloader.dataset))
    assert len(hook.numbers) == shown
    # Spread over the data.
    assert max(hook.numbers.values()) >= (shown - 1) * len(runner.val_dataloader.dataset) // shown
    first, second = (sheet_of(runner, f'{by}_{step}') for step in (1, 2))
    np.testing.assert_array_equal(first, second)
    rows = 2 * -(-shown // COLUMNS)
    assert first.shape == (rows * (CELL[1] + CAPTION), COLUMNS * CELL[0], 3)
    # The truth is above the prediction: in another place something else is drawn.
    cells = first.reshape(rows, CELL[1] + CAPTION, COLUMNS, CELL[0], 3).swapaxes(1, 2)
    assert (cells[0] != cells[1]).any()
    tracked = runner.visualizer._vis_backends['tracker'].shown
    assert [(name, step) for name, _, step in tracked] == [('predictions', 1), ('predictions', 2)]
    assert tracked[0][1].shape == first.shape
    # A resumed run keeps the sheets before it.
    hook = PredictionSheetHook()
    hook.before_train(runner)
    validate(hook, runner)
    assert sheet_of(runner, f'{by}_1') is not None


def test_what_is_drawn_is_what_the_model_predicts_and_what_is_true(runner, task, model, data):
    hook = PredictionSheetHook(score_thr=0.0)
    hook.before_train(runner)
    validate(hook, runner)
    truths = truths_of(config_of(task), 'val_dataloader', model)
    for number, found in hook.found.items():
        info = truths.info(number)
        expected = model(info['img_path'])
        for name in ('boxes', 'label_map', 'scores'):
            if hasattr(found, name):
                np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-2)
    # The colours that the checkpoint's predictions will have.
    info = truths.dataset.metainfo
    assert hook.truths.model.palette == palette_of(len(model.classes), [info.get('palette')])


def test_a_sheet_that_fails_is_one_warning_and_there_are_no_more(runner, caplog, monkeypatch):
    hook = PredictionSheetHook()
    hook.before_train(runner)
    runner.cfg.default_scope, scope = 'elsewhere', runner.cfg.default_scope
    hook.before_val_epoch(runner)
    runner.cfg.default_scope = scope
    for _ in range(2):
        validate(hook, runner)
    (record,) = caplog.records
    assert record.getMessage().startswith('no sheets of predictions from here on: ')
    assert not list((runner.visualizer._vis_backends['tracker']).shown)


def test_every_tested_image_is_drawn_beside_its_truth_under_its_name(runner, tmp_path):
    hook = PredictionPicturesHook(str(tmp_path / 'pictures'), score_thr=0.0)
    validate(hook, runner, 'test')
    drawn = sorted((tmp_path / 'pictures').iterdir())
    dataset = runner.test_dataloader.dataset
    assert len(drawn) == len(dataset)
    height, width = cv2.imread(str(drawn[0])).shape[:2]
    assert width > 1.8 * (height - 60)


def test_the_projects_configs_draw_sheets():
    for task in ('det', 'seg', 'cls'):
        hooks = Config.fromfile(ROOT / 'configs' / '_base_' / f'runtime_{task}.py').default_hooks
        assert hooks.visualization.type == 'mmgcvit.PredictionSheetHook'
