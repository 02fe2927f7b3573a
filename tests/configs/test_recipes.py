"""Recipes are what the papers and the released code say: each number read off the config as it is built."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.utils import import_modules_from_strings

from ..conftest import ROOT
from .models import head_of, on_meta, read

GPUS = 8
# name: (total batch, share of the short side that tests see, drop path of the last block)
GCVIT = {
    'gcvit_xxt_in1k': (4096, 1.0, 0.2),
    'gcvit_xt_in1k': (4096, 0.875, 0.2),
    'gcvit_t_in1k': (4096, 1.0, 0.2),
    'gcvit_t2_in1k': (4096, 0.875, 0.25),
    'gcvit_s_in1k': (1024, 0.875, 0.3),
    'gcvit_s2_in1k': (1024, 0.875, 0.35),
    'gcvit_b_in1k': (1024, 1.0, 0.5),
    'gcvit_l_in1k': (1024, 1.0, 0.5),
    'gcvit_l_384_in1k': (512, 1.0, 0.1),
    'gcvit_l_512_in1k': (512, 1.0, 0.1),
}
LSA_IN1K = {'lsa_t_in1k': (736, 0.875, 0.1), 'lsa_s_in1k': (512, 0.875, 0.1)}
LSA_CIFAR = {
    f'lsa_{size}_cifar{classes}': (batch, 1.0, 0.1)
    for size, batch in (('t', 736), ('s', 320), ('b', 160))
    for classes in (10, 100)
}
CLASSIFIERS = {**GCVIT, **LSA_IN1K, **LSA_CIFAR}
SQUASHED = {'gcvit_l_384_in1k': 384, 'gcvit_l_512_in1k': 512}
SIZES = {'t': 0.2, 's': 0.3, 'b': 0.5}
# name: drop path of the last block
DENSE = {
    **{f'{head}_gcvit_{size}': rate for head in ('mask_rcnn', 'cascade', 'upernet') for size, rate in SIZES.items()},
    **{f'dino_gcvit_{size}_12e': rate for size, rate in SIZES.items()},
    **dict.fromkeys(('dino_gcvit_l', 'dino_gcvit_l_12e', 'dino_gcvit_l_fsdp'), 0.2),
}
# In units of a pixel's whole range: mean and standard deviation.
CIFAR = {
    10: ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    100: ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
# name: (first rate, last rate, epochs of warm-up, epochs)
RATES = {
    **dict.fromkeys(list(GCVIT)[:8], (1e-6, 5e-6, 20, 310)),
    'lsa_t_in1k': (5e-7, 5e-6, 20, 300),
    'lsa_s_in1k': (1e-6, 1e-5, 20, 300),
    **dict.fromkeys(LSA_CIFAR, (1e-6, 1e-5, 5, 300)),
}


def total_batch(cfg):
    return GPUS * cfg.train_dataloader.batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)


def last_drop_path(cfg):
    """Of the backbone, which is built alone."""
    cfg.model = cfg.model.backbone
    return max(module.drop_prob for module in on_meta(cfg).modules() if isinstance(module, DropPath))


def transforms_of(pipeline):
    """The transforms of a pipeline, those among which one is chosen included."""
    for transform in pipeline:
        yield transform
        for branch in transform.get('transforms', ()):
            yield from transforms_of(branch)


def test_total_batches_are_the_recipes_and_heads_of_classifiers_say_so():
    for name, (expected, _, _) in CLASSIFIERS.items():
        cfg = read(name)
        assert total_batch(cfg) == expected, name
        assert f'total batch {expected} (' in head_of(name)
        # What mmengine compares with: accumulated steps are not in it.
        assert cfg.auto_scale_lr.base_batch_size == GPUS * cfg.train_dataloader.batch_size, name
    for name in (*DENSE, 'mask_rcnn_lsa_s', 'upernet_lsa_s', 'faster_rcnn_gcvit_t_boxonly'):
        assert total_batch(read(name)) == 16, name


def test_drop_path_of_the_last_block():
    expected = {**{name: recipe[2] for name, recipe in CLASSIFIERS.items()}, **DENSE}
    assert {name: last_drop_path(read(name)) for name in expected} == pytest.approx(expected)


@pytest.fixture(scope='module')
def ramp():
    """An image of 400x500 px whose first channel tells the column, the last the row, from 0 to 255."""
    rows, columns = np.mgrid[:400, :500]
    return np.stack([columns * 255 / 499, np.zeros_like(rows), rows * 255 / 399], axis=2).round().astype(np.uint8)


def seen(image, channel):
    """The share of the original that is seen along a channel's direction."""
    return (image[channel].max() - image[channel].min()).item() / 255


def test_the_test_crop_of_a_classifier(ramp):
    """Measured on what the pipeline makes of an image, not read off its settings."""
    for name in (*GCVIT, *LSA_IN1K):
        cfg = read(name)
        import_modules_from_strings(**cfg.custom_imports)
        crop, size = CLASSIFIERS[name][1], SQUASHED.get(name, 224)
        for loader in (cfg.val_dataloader, cfg.test_dataloader):
            with_scope = [{**step, 'type': f'mmpretrain.{step.type}'} for step in loader.dataset.pipeline[1:]]
            image = Compose(with_scope)({'img': ramp, 'img_shape': ramp.shape[:2]})['inputs'].float()
            assert image.shape == (3, size, size), name
            assert seen(image, 2) == pytest.approx(crop, abs=0.02), name
            assert seen(image, 0) == pytest.approx(1.0 if name in SQUASHED else crop * 400 / 500, abs=0.02), name


def test_interpolation_in_training_is_random_for_gcvit_and_bicubic_for_lsa():
    """In RandAugment, where there is any, as in the crop."""
    for name in (*GCVIT, *LSA_IN1K):
        transforms = list(transforms_of(read(name).train_dataloader.dataset.pipeline))
        expected = {'bilinear', 'bicubic'} if name in GCVIT else {'bicubic'}
        assert {step.interpolation for step in transforms if step.type == 'RandomResizedCrop'} == expected, name
        found = {step.hparams.interpolation for step in transforms if step.type == 'RandAugment'}
        assert found == (set() if name in SQUASHED else expected), name


def test_a_random_interpolation_crops_once(ramp):
    """One of the two is chosen for each image."""
    cfg = read('gcvit_t_in1k')
    import_modules_from_strings(**cfg.custom_imports)
    choice = cfg.train_dataloader.dataset.pipeline[1]
    branches = [[{**step, 'type': f'mmpretrain.{step.type}'} for step in branch] for branch in choice.transforms]
    pipeline = Compose([{'type': f'mmpretrain.{choice.type}', 'transforms': branches}])
    for _ in range(4):
        assert pipeline({'img': ramp, 'img_shape': ramp.shape[:2]})['img'].shape == (224, 224, 3)


def test_cifar_is_normalised_with_its_own_statistics():
    for name in LSA_CIFAR:
        cfg = read(name)
        mean, std = CIFAR[cfg.data_preprocessor.num_classes]
        assert cfg.data_preprocessor.mean == pytest.approx([255 * x for x in mean]), name
        assert cfg.data_preprocessor.std == pytest.approx([255 * x for x in std]), name
        erasing = next(step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'RandomErasing')
        assert (erasing.fill_color, erasing.fill_std) == (cfg.data_preprocessor.mean, cfg.data_preprocessor.std), name


STEPS = 20


def rates_of(cfg):
    """The learning rate at every step of a training with 20 steps an epoch."""
    import_modules_from_strings(**cfg.custom_imports)
    model = torch.nn.Linear(1, 1)
    optimizer = build_optim_wrapper(model, dict(cfg.optim_wrapper, paramwise_cfg=None)).optimizer
    build = partial(PARAM_SCHEDULERS.build, default_args={'optimizer': optimizer, 'epoch_length': STEPS})
    schedulers = [build(dict(settings)) for settings in cfg.param_scheduler]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * STEPS):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def test_learning_rates_of_a_classifier_from_the_first_to_the_last_step():
    """GC ViT cools down for ten epochs."""
    for name, (first, last, warm_up, epochs) in RATES.items():
        cfg = read(name)
        rates = rates_of(cfg)
        assert len(rates) == STEPS * epochs, name
        assert rates[0] == pytest.approx(first), name
        cool_down = 10 * STEPS if name in GCVIT else 1
        assert rates[-cool_down:] == pytest.approx([last] * cool_down, rel=1e-3), name
        peak = 1e-3 * total_batch(cfg) / 1024 if name in GCVIT else 5e-4 * total_batch(cfg) / 512
        assert max(rates) == pytest.approx(peak), name
        assert rates.index(max(rates)) == pytest.approx(STEPS * warm_up, abs=1), name


def test_heads_of_dino_say_what_differs_from_its_own_recipe():
    for name in (name for name in DENSE if name.startswith('dino')):
        cfg, head = read(name), head_of(name)
        assert cfg.optim_wrapper.optimizer.weight_decay == 0.05
        assert cfg.param_scheduler[0].end == (5000 if name.endswith('fsdp') else 2500)
        if 'dino_gcvit_l.py' not in head:
            assert re.search(
                r"^Weight decay 0\.05 .* warm-up of 2500 .* DINO's own .* 1e-4 and none", head, re.MULTILINE
            )


def test_the_schedule_names_the_three_answers_to_how_many_epochs():
    head = (ROOT / 'configs/_base_/schedules/imagenet_310e_bs1024.py').read_text().split('"""')[1]
    assert all(f'{epochs}' in head for epochs in (300, 310, 320))
