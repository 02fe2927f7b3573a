"""Validation images are drawn, the same each time, without an effect on the run; contact sheets
show each dataset.
"""

import random
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import IterBasedTrainLoop, Runner, set_random_seed
from mmengine.visualization import LocalVisBackend

from mmgcvit import load
from mmgcvit.engine.hooks.val_loss import ValLossHook
from mmgcvit.errors import UserError
from mmgcvit.host.config import enter_scope, read_config
from mmgcvit.own.hooks import ValVisualizationHook
from mmgcvit.own.judging.evaluations import EVALUATION_BY_TASK
from mmgcvit.own.judging.grids import Cell, draw_contact_sheet, draw_grid
from mmgcvit.own.judging.samples import load_sample
from mmgcvit.predict.drawing import choose_palette
from mmgcvit.registry import TRANSFORMS
from mmgcvit.runs.folder import VAL_IMAGES_FOLDER

from ..configs.templates import TEMPLATES, own
from ..predict.conftest import make_work_dir
from ..tools.commands import CONFIGS


@pytest.fixture
def runner(model, task, tmp_path):
    """Return a mock with the attributes of a runner that hooks read, and with a tracker of
    experiments.
    """
    cfg = read_config(model.config)
    enter_scope(cfg)
    loader = Runner.build_dataloader(cfg.val_dataloader)
    runner = Mock(val_dataloader=loader, model=model.network, cfg=cfg, work_dir=str(tmp_path))
    if task == 'segmentation':
        runner.train_loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    runner.visualizer._vis_backends = {
        'local': LocalVisBackend(str(tmp_path)),
        'tracker': runner.tracker,
    }
    return runner


def validate(hook, runner):
    """Call a hook as a validation does, and return the next values of the random generators."""
    set_random_seed(0)
    hook.before_val_epoch(runner)
    with torch.no_grad():
        for number, batch in enumerate(runner.val_dataloader):
            draws = isinstance(hook, ValVisualizationHook)
            outputs = runner.model.val_step(batch) if draws else None
            hook.after_val_iter(runner, batch_idx=number, data_batch=batch, outputs=outputs)
    hook.after_val_epoch(runner)
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_the_same_images_are_drawn_each_time_without_using_random_numbers(runner, task, model):
    hook = ValVisualizationHook(score_thr=0.0)
    hook.before_train(runner)
    by = 'iter' if task == 'segmentation' else 'epoch'
    grids = []
    for step in (1, 2):
        runner.epoch = runner.iter = step
        assert validate(hook, runner) == validate(ValVisualizationHook(images=0), runner)
        grids.append(cv2.imread(f'{runner.work_dir}/{VAL_IMAGES_FOLDER}/{by}_{step}.jpg'))
        (name, shown, shown_step), _ = runner.tracker.add_image.call_args
        assert (name, shown.shape, shown_step) == ('predictions', grids[-1].shape, step)
        # In RGB order; the file is a JPEG.
        difference = shown[..., ::-1].astype(int) - grids[-1]
        assert np.abs(difference).mean() < np.abs(shown.astype(int) - grids[-1]).mean()
    np.testing.assert_array_equal(*grids)
    # LocalVisBackend would write each grid a second time.
    assert not [*Path(runner.work_dir).rglob('*.png')]
    count = len(runner.val_dataloader.dataset)
    number = min(8, count)
    expected = [position * count // number for position in range(number)]
    assert [*hook.chosen.values()] == expected, 'spread over the data'
    for number, found in hook.predictions.items():
        expected = model(
            load_sample(hook.dataset, number, model.classes, EVALUATION_BY_TASK[task]).path
        )
        for name in vars(found).keys() & {'boxes', 'label_map', 'scores'}:
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-2)
    # Predictions of the checkpoint will have the same colours.
    palettes = [hook.dataset.metainfo.get('palette')]
    assert hook.predictor.palette == choose_palette(len(model.classes), palettes)


@pytest.mark.parametrize(
    ('task', 'name'),
    [
        ('segmentation', ''),
        ('classification', ''),
        ('detection', 'detect'),
        ('detection', 'dino'),
    ],
)
def test_the_validation_loss_is_the_mean_of_the_training_losses_of_the_images(
    runner, name, tmp_path
):
    """Objects are scaled as if they were loaded before the image is resized."""
    dataset = runner.val_dataloader.dataset
    losses = []
    ordered = dataset.pipeline
    if name:
        run = make_work_dir(tmp_path / name, 'detection', Config.fromfile(CONFIGS / f'{name}.py'))
        runner.model = load(run, device='cpu').network
        *first, resize, annotate, pack = dataset.pipeline.transforms
        resize.scale, pad = (144, 96), TRANSFORMS.build({'type': 'Pad', 'size': (160, 128)})
        dataset.pipeline.transforms = [*first, resize, pad, annotate, pack]
        ordered = Compose([*first, annotate, resize, pad, pack])
    for number in range(len(dataset)):
        batch = pseudo_collate([ordered(dataset.get_data_info(number))])
        # The preprocessor pads masks in training only.
        batch = runner.model.data_preprocessor(batch, training=bool(name))
        torch.manual_seed(0)
        runner.model.training = True  # only then DINO has queries for denoising
        losses.append(runner.model.parse_losses(runner.model(**batch, mode='loss'))[0].item())
    runner.message_hub, hook = MessageHub.get_instance('losses'), ValLossHook()
    # It has no effect on the random numbers and the model's modes.
    assert validate(hook, runner) == validate(Hook(), runner)
    assert not any(module.training for module in runner.model.modules())
    loss = runner.message_hub.get_scalar('val/val_loss').current()
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    # save_best='auto' takes the first of the scores.
    for scores, expected in (({}, {}), ({'mIoU': 1.0}, {'mIoU': 1.0, 'val_loss': loss})):
        hook.after_val_epoch(runner, scores)
        assert scores == expected


def test_a_drawing_error_gives_one_warning_and_disables_the_hook(runner):
    hook = ValVisualizationHook()
    hook.before_train(runner)
    runner.cfg.default_scope, scope = 'elsewhere', runner.cfg.default_scope
    hook.before_val_epoch(runner)
    runner.cfg.default_scope = scope
    validate(hook, runner)
    runner.logger.warning.assert_called_once()
    (message,) = runner.logger.warning.call_args.args
    assert message.startswith('the validation images are no longer drawn (')
    runner.tracker.add_image.assert_not_called()


@pytest.mark.parametrize('name', TEMPLATES)
def test_a_contact_sheet_shows_samples_and_skips_datasets_that_cannot_load(name, tmp_path):
    cfg = own(name, tmp_path)
    loaders = ['train_dataloader', 'val_dataloader']
    enter_scope(cfg)
    sheet = draw_contact_sheet(cfg, loaders)
    assert sheet.shape[1] > 1600
    assert (sheet < 255).any(-1).mean() > 0.3
    if name == 'custom_coco':
        path = tmp_path / 'annotations' / 'train.json'
        path.write_text(path.read_text().replace('"bbox": [50, 20', '"bbox": [44, 20'))
        assert (sheet != draw_contact_sheet(cfg, loaders)).any()
        path.with_name('val.json').write_text('{')
        assert draw_contact_sheet(cfg, loaders).shape[0] < sheet.shape[0]
        with pytest.raises(UserError, match='no sample of the data can be drawn'):
            draw_contact_sheet(cfg, ['val_dataloader'])


def test_titles_of_any_length_fit_above_pictures():
    """The border of the grid is white, so no title is cut off."""
    picture = np.zeros((300, 400, 3), np.uint8)
    titles = ('word ' * 60, 'Ölkännchen $_$x_{', '')
    grid = draw_grid([Cell(title, picture) for title in titles], 2)
    assert (grid[:2] == 255).all()
    assert (grid[2:40] < 128).any()
