"""Recipes are what the papers and the released code say: each number read off the config as it is built."""

import re
from copy import deepcopy
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.utils import import_modules_from_strings

from mmgcvit.config import read_config

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
# name: drop path of the last block
DENSE = {
    **{f'{head}_gcvit_{size}': 0.2 for head in ('mask_rcnn', 'cascade') for size in 'tsb'},
    **{f'upernet_gcvit_{size}': 0.3 for size in 'tsb'},
    **{f'dino_gcvit_{size}_12e': 0.2 for size in 'tsbl'},
    **dict.fromkeys(('dino_gcvit_l', 'dino_gcvit_l_fsdp'), 0.2),
}
# name: a host's config whose recipe it claims to have
CLAIMED = {
    'baselines/mask_rcnn_swin_t': 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    'baselines/mask_rcnn_swin_s': 'mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    'baselines/mask_rcnn_convnext_t': 'mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    **{
        f'baselines/cascade_convnext_{size}': 'mmdet::convnext/'
        f'cascade-mask-rcnn_convnext-{size}-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py'
        for size in 'ts'
    },
    **{
        f'{ours}_{size[0]}': f'mmseg::swin/swin-{size}-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'
        for ours in ('upernet_gcvit', 'baselines/upernet_swin')
        for size in ('tiny', 'small', 'base')
    },
    **{
        f'baselines/upernet_convnext_{size[0]}': 'mmseg::convnext/'
        f'convnext-{size}_upernet_8xb2-amp-160k_ade20k-512x512.py'
        for size in ('tiny', 'small', 'base')
    },
    'baselines/dino_swin_l': 'mmdet::dino/dino-5scale_swin-l_8xb2-36e_coco.py',
    'dino_gcvit_l_dino_recipe': 'mmdet::dino/dino-4scale_r50_8xb2-36e_coco.py',
    'dino_gcvit_t_12e_dino_recipe': 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    **{
        f'other_heads/mask2former_gcvit_{ours}': 'mmdet::mask2former/'
        f'mask2former_swin-{swin}_8xb2-lsj-50e_coco{task}.py'
        for ours, swin, task in (
            ('t', 't-p4-w7-224', ''),
            ('s', 's-p4-w7-224', ''),
            ('b', 's-p4-w7-224', ''),  # mmdet has none with Swin-B
            ('t_panoptic', 't-p4-w7-224', '-panoptic'),
            ('s_panoptic', 's-p4-w7-224', '-panoptic'),
            ('b_panoptic', 'b-p4-w12-384', '-panoptic'),
        )
    },
    **{
        f'other_heads/mask2former_gcvit_{ours}': f'mmseg::mask2former/mask2former_swin-{theirs}.py'
        for ours, theirs in (
            ('t_ade20k', 't_8xb2-160k_ade20k-512x512'),
            ('s_ade20k', 's_8xb2-160k_ade20k-512x512'),
            ('b_ade20k', 'b-in1k-384x384-pre_8xb2-160k_ade20k-640x640'),
            ('t_cityscapes', 't_8xb2-90k_cityscapes-512x1024'),
            ('s_cityscapes', 's_8xb2-90k_cityscapes-512x1024'),
            ('b_cityscapes', 'b-in22k-384x384-pre_8xb2-90k_cityscapes-512x1024'),
        )
    },
    **{f'other_heads/rtmdet_ins_gcvit_{size}': 'mmdet::rtmdet/rtmdet_l_swin_b_4xb32-100e_coco.py' for size in 'ts'},
}
# What mends faults of hosts and leaves healthy images as they are; sizes that follow from the backbone or the levels.
MENDING = ('mmgcvit.ApplyExifAsAnnotated', 'FilterAnnotations')
FITTING = ('in_channels', 'num_levels', 'num_feature_levels', 'num_outs', 'pad_size_divisor')
# Kinds of segments, which mmseg's Mask2Former does not have.
SEGMENTS = ('num_things_classes', 'num_stuff_classes')
# Defaults that a host restates, and we at times.
RESTATED = {
    **dict.fromkeys(('init_cfg', 'norm_cfg', 'dropout_layer', 'loss_panoptic')),
    **dict.fromkeys(('attn_drop', 'proj_drop', 'dropout'), 0.0),
    **{'align_corners': False, 'semantic_on': False, 'add_identity': True, 'im2col_step': 64, 'resize_type': 'Resize'},
}
# In units of a pixel's whole range: mean and standard deviation.
CIFAR = {
    10: ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    100: ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
# name: (first rate, last rate, epochs of warm-up, epochs)
RATES = {
    **dict.fromkeys(list(GCVIT)[:8], (1e-6, 5e-6, 20, 310)),
    'lsa_t_in1k': (5e-7 * 736 / 512, 5e-6 * 736 / 512, 20, 300),
    'lsa_s_in1k': (1e-6, 1e-5, 20, 300),
    **dict.fromkeys(LSA_CIFAR, (1e-6, 1e-5, 5, 300)),
}


def total_batch(cfg, gpus=GPUS):
    return gpus * cfg.train_dataloader.batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)


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
        peak = 1e-3 if name in GCVIT else 5e-4 * total_batch(cfg) / 512
        assert max(rates) == pytest.approx(peak), name
        assert rates.index(max(rates)) == pytest.approx(STEPS * warm_up, abs=1), name


def plain(value, without=()):
    """Settings without what says nothing: names of packages, tuples for lists, defaults, and keys that are left out."""
    if isinstance(value, dict):
        return {
            key: plain(inner, without)
            for key, inner in value.items()
            if key not in without and inner != RESTATED.get(key, Ellipsis)
        }
    if isinstance(value, (list, tuple)):
        return [plain(inner, without) for inner in value]
    return re.sub(r'^(mmgcvit|mmdet)\.', '', value) if isinstance(value, str) else value


def rate_and_decay(model, optim_wrapper, rate_alone):
    """Of each weight; of those with certain words in their names the rate alone."""
    names = {weight: name for name, weight in model.named_parameters()}
    settings = {
        key: value for key, value in optim_wrapper.items() if key in ('constructor', 'optimizer', 'paramwise_cfg')
    }
    groups = build_optim_wrapper(model, {**settings, 'type': 'OptimWrapper'}).optimizer.param_groups
    return {
        names[weight]: (group['lr'], None if re.search(rate_alone, names[weight]) else group['weight_decay'])
        for group in groups
        for weight in group['params']
    }


def recipe_of(cfg, model, gpus, rate_alone):
    """What a config of a host and one of ours must have in common to be one recipe, on a model of ours."""
    loaders = (cfg.train_dataloader, cfg.test_dataloader)
    images, *tests = ([step for step in loader.dataset.pipeline if step.type not in MENDING] for loader in loaders)
    return {
        'images': plain(images, ('backend_args',)),
        # What is loaded beside the image is for scores alone; how it is rounded after resizing docs/recipes.md says.
        'tests': plain(tests, ('backend_args', 'with_mask', 'to_float32')),
        'total batch': total_batch(cfg, gpus),
        'length': [cfg.train_cfg.get(key) for key in ('max_epochs', 'max_iters')],
        'schedule': plain(cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]),
        'weights': rate_and_decay(model, cfg.optim_wrapper, rate_alone),
        'clipping': (cfg.optim_wrapper.get('clip_grad') or {}).get('max_norm'),
        'mixed precision': cfg.optim_wrapper.type != 'OptimWrapper',
        'heads': plain(
            {**cfg.model, 'backbone': None, 'pretrained': None, 'data_preprocessor': None},
            (*FITTING, *SEGMENTS),
        ),
    }


def views_of(cfg):
    """The views at test, in any order, and how they are merged."""
    steps = (step for step in transforms_of(cfg.tta_pipeline) if step.type in ('Resize', 'RandomFlip', 'Pad'))
    return sorted(map(str, steps)), cfg.tta_model.get('tta_cfg')


def hosts_config(path):
    """A host's config by its name; RTMDet's with Swin-B gets the masks, and what goes with them, of RTMDet-Ins."""
    package, _, path = path.partition('::')
    folder = Path(import_module(package).__file__).parent / '.mim' / 'configs'
    cfg = Config.fromfile(folder / path)
    if 'rtmdet' in path:
        masks = Config.fromfile(folder / 'rtmdet/rtmdet-ins_l_8xb32-300e_coco.py')
        cfg.model.bbox_head = {**masks.model.bbox_head, 'norm_cfg': cfg.norm_cfg}
        cfg.model.test_cfg = masks.model.test_cfg
        cfg.train_dataloader.dataset.pipeline = masks.train_dataloader.dataset.pipeline
    return cfg


@pytest.mark.parametrize('name', CLAIMED)
def test_a_recipe_that_is_claimed_to_be_a_hosts_is_what_the_host_publishes(name):
    """Backbones too, where they are the host's: with all sizes and drop path. Hosts name those norms of Swin only."""
    ours, theirs = read(name), hosts_config(CLAIMED[name])
    model = on_meta(deepcopy(ours))
    # Our recipes never decay the heads' batch norms.
    rate_alone = r'\.bn\.|^backbone\..*(norm|position)' if name.startswith('other_heads/') else r'\.bn\.'
    gpus = int((re.search(r'_(\d)xb', CLAIMED[name]) or [0, GPUS])[1])
    assert recipe_of(ours, model, GPUS, rate_alone) == recipe_of(theirs, model, gpus, rate_alone)
    if 'tta_pipeline' in theirs:
        assert views_of(ours) == views_of(theirs)
    if name.startswith('baselines/'):
        backbone = {**theirs.model.backbone, 'init_cfg': None, 'out_indices': model.backbone.out_indices}
        theirs = on_meta(Config({**ours._cfg_dict, 'model': backbone}))
        model.backbone.init_cfg = theirs.init_cfg
        assert str(model.backbone) == str(theirs)


def test_the_released_learning_rate_for_imagenet_is_two_options_and_keeps_both_ends():
    options = {'optim_wrapper.optimizer.lr': 0.005, 'param_scheduler.0.start_factor': 2e-4}
    for page in ('docs/recipes.md', 'configs/_base_/schedules/imagenet_310e_bs1024.py'):
        assert 'optim_wrapper.optimizer.lr=0.005 param_scheduler.0.start_factor=2e-4' in (ROOT / page).read_text()
    rates = rates_of(read_config(ROOT / 'configs' / 'gcvit_t_in1k.py', options))
    assert (rates[0], max(rates)) == pytest.approx((1e-6, 0.005))
    assert rates[-1] == pytest.approx(5e-6, rel=1e-3)


def test_the_schedule_names_the_three_answers_to_how_many_epochs():
    head = (ROOT / 'configs/_base_/schedules/imagenet_310e_bs1024.py').read_text().split('"""')[1]
    assert all(f'{epochs}' in head for epochs in (300, 310, 320))
