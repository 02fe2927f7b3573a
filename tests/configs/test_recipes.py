"""Compare recipes with the papers, the released code and the installed OpenMMLab packages.

Modules: `configs`.
"""

import math
import re
from copy import deepcopy
from importlib import import_module
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from mmgcvit.engine.train import check_batch_size

from ..conftest import ROOT
from .models import build_on_meta, get_lrs_and_decays, get_model, read

GPUS = 8
STEPS = 10
# name: (effective batch size, test crop ratio, drop path, first, peak and last lr, warm-up, epochs)
GCVIT_RATES = (1e-6, 1e-3, 5e-6, 20, 310)
GCVIT_RELEASED_RATES = (1e-6, 5e-3, 5e-6, 20, 310)
CLASSIFIERS = {
    'gcvit_xxt_in1k': (4096, 1.0, 0.2, *GCVIT_RELEASED_RATES),
    'gcvit_xt_in1k': (4096, 0.875, 0.2, *GCVIT_RELEASED_RATES),
    'gcvit_t_in1k': (4096, 1.0, 0.2, *GCVIT_RELEASED_RATES),
    'gcvit_t2_in1k': (4096, 0.875, 0.25, *GCVIT_RELEASED_RATES),
    'gcvit_s_in1k': (1024, 0.875, 0.3, *GCVIT_RATES),
    'gcvit_s2_in1k': (1024, 0.875, 0.35, *GCVIT_RATES),
    'gcvit_b_in1k': (1024, 1.0, 0.5, *GCVIT_RATES),
    'gcvit_l_in1k': (1024, 1.0, 0.5, *GCVIT_RATES),
    'lsa_t_in1k': (736, 0.875, 0.1, 5e-7 * 736 / 512, 5e-4 * 736 / 512, 5e-6 * 736 / 512, 20, 300),
    'lsa_s_in1k': (512, 0.875, 0.1, 1e-6, 5e-4, 1e-5, 20, 300),
    **{
        f'lsa_{size}_cifar{classes}': (batch, None, 0.1, 1e-6, 5e-4 * batch / 512, 1e-5, 5, 300)
        for size, batch in (('t', 736), ('s', 320), ('b', 160))
        for classes in (10, 100)
    },
}
# name: the mmdet or mmseg config whose recipe it claims to follow
UPERNET_SWIN = 'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512'
MASK2FORMER = 'mmseg::mask2former/mask2former_swin'
CLAIMED = {
    'baselines/mask_rcnn_swin_t': 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_amp-ms-crop-3x_coco',
    'baselines/mask_rcnn_convnext_t': 'mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-'
    '3x_coco',
    'baselines/cascade_convnext_t': 'mmdet::convnext/cascade-mask-rcnn_convnext-t-p4-w7_fpn_'
    '4conv1fc-giou_amp-ms-crop-3x_coco',
    'baselines/dino_swin_l': 'mmdet::dino/dino-5scale_swin-l_8xb2-36e_coco',
    'baselines/upernet_swin_t': UPERNET_SWIN,
    'baselines/upernet_convnext_t': 'mmseg::convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-'
    '512x512',
    'upernet_gcvit_t': UPERNET_SWIN,
    'other_heads/mask2former_gcvit_t': 'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-'
    '50e_coco',
    'other_heads/mask2former_gcvit_t_ade20k': f'{MASK2FORMER}-t_8xb2-160k_ade20k-512x512',
    'other_heads/mask2former_gcvit_b_ade20k': f'{MASK2FORMER}-b-in1k-384x384-pre_8xb2-160k_ade20k-'
    '640x640',
    'other_heads/mask2former_gcvit_t_cityscapes': f'{MASK2FORMER}-t_8xb2-90k_cityscapes-512x1024',
}
# Fixes of mmdet that leave healthy images without ignored objects as they are.
MENDING = ('mmgcvit.ApplyExifAsAnnotated', 'FilterAnnotations')
# The setting of a fix, sizes that follow from the backbone or its levels, and panoptic classes,
# which mmseg's Mask2Former does not have.
FITTING = ('ignore_iof_thr', 'in_channels', 'num_levels', 'num_feature_levels', 'num_outs')
FITTING += ('pad_size_divisor', 'num_things_classes', 'num_stuff_classes')
# Defaults that only one of the two configs states.
RESTATED = dict.fromkeys(('init_cfg', 'norm_cfg', 'dropout_layer', 'loss_panoptic'))
RESTATED |= dict.fromkeys(('attn_drop', 'proj_drop', 'dropout'), 0.0)
RESTATED |= {'align_corners': False, 'semantic_on': False, 'add_identity': True}
RESTATED |= {'im2col_step': 64, 'resize_type': 'Resize'}


def get_effective_batch_size(cfg):
    return GPUS * cfg.train_dataloader.batch_size * cfg.optim_wrapper.get('accumulative_counts', 1)


def compute_lrs(cfg):
    """Return the lr at every iteration of a run with ``STEPS`` iterations an epoch."""
    settings = dict(cfg.optim_wrapper, paramwise_cfg=None)
    optimizer = build_optim_wrapper(torch.nn.Linear(1, 1), settings).optimizer
    schedulers = []
    for settings in cfg.param_scheduler:
        settings = dict(settings, optimizer=optimizer, epoch_length=STEPS)
        schedulers.append(PARAM_SCHEDULERS.build(settings))
    for _ in range(cfg.train_cfg.max_epochs * STEPS):
        yield optimizer.param_groups[0]['lr']
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_a_classifier_is_trained_as_its_paper_or_released_code_says(name):
    """GC ViT has ten cool-down epochs; CIFAR images are tested without a crop."""
    cfg = read(name)
    batch, crop, drop_path, first, highest, last, warm_up, epochs = CLASSIFIERS[name]
    assert get_effective_batch_size(cfg) == batch
    # base_batch_size of mmengine does not include gradient accumulation.
    assert cfg.auto_scale_lr.base_batch_size == GPUS * cfg.train_dataloader.batch_size
    block = get_model(name).backbone.stages[-1].blocks[-1]
    assert block.mlp_residual.drop_path.drop_prob == pytest.approx(drop_path)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        sizes = [step.get('scale') or step.crop_size for step in loader.dataset.pipeline[1:-1]]
        assert sizes == ([round(224 / crop), 224] if crop else [])
    rates = list(compute_lrs(cfg))
    assert len(rates) == STEPS * epochs
    assert (rates[0], max(rates)) == pytest.approx((first, highest))
    assert rates.index(max(rates)) == pytest.approx(STEPS * warm_up, abs=1)
    cool_down = 10 * STEPS if 'gcvit' in name else 1
    assert rates[-cool_down:] == pytest.approx([last] * cool_down, rel=1e-3)


IMAGENET = [(path.stem, '') for path in (ROOT / 'configs').glob('*_in1k.py')]
# The commands of the docs, for another lr or smaller GPUs.
COMMANDS = re.findall(
    r'configs/(\w+_in1k)\.py 8 --cfg-options (.*)', (ROOT / 'docs' / 'recipes.md').read_text()
)


@pytest.mark.parametrize(('name', 'options'), IMAGENET + COMMANDS)
def test_an_epoch_of_imagenet_ends_with_a_whole_optimizer_step(name, options):
    """A run that resumes within an accumulated step would lose its gradients."""
    cfg = read(name)
    pairs = re.findall(r'(\S+)=(\S+)', options)
    cfg.merge_from_dict({key: DictAction._parse_int_float_bool(value) for key, value in pairs})
    assert not check_batch_size(cfg, read(name), GPUS)
    images = math.ceil(1_281_167 / GPUS)  # the sampler repeats some
    iterations = math.ceil(images / cfg.train_dataloader.batch_size)
    if cfg.train_dataloader.get('drop_last'):
        iterations = images // cfg.train_dataloader.batch_size
    assert iterations % cfg.optim_wrapper.get('accumulative_counts', 1) == 0
    if options:
        rates = list(compute_lrs(cfg))
        expected = (1e-6, cfg.optim_wrapper.optimizer.lr, 5e-6)
        assert (rates[0], max(rates), rates[-1]) == pytest.approx(expected, rel=1e-3)


def plain(value, without=()):
    """Normalise settings: drop package names, default values and ignored keys, and turn tuples into
    lists.
    """
    if isinstance(value, dict):
        normalised = {}
        for key, inner in value.items():
            is_default = key in RESTATED and inner == RESTATED[key]
            if key not in without and not is_default:
                normalised[key] = plain(inner, without)
        return normalised
    if isinstance(value, (list, tuple)):
        return [plain(inner, without) for inner in value]
    if isinstance(value, str):
        return re.sub(r'^(mmgcvit|mmdet)\.', '', value)
    return value


def read_recipe(cfg, model, rate_alone):
    """Return the settings that two configs of the same recipe must share, given a model of ours."""
    images, tests = (
        [step for step in loader.dataset.pipeline if step.type not in MENDING]
        for loader in (cfg.train_dataloader, cfg.test_dataloader)
    )
    schedulers = cfg.param_scheduler
    heads = {**cfg.model, 'backbone': None, 'pretrained': None, 'data_preprocessor': None}
    return {
        'images': plain(images, ('backend_args',)),
        # Loaded annotations only affect scores; docs/recipes.md says how they are rounded after
        # resizing.
        'tests': plain(tests, ('backend_args', 'with_mask', 'to_float32')),
        'total batch': get_effective_batch_size(cfg),
        'length': [cfg.train_cfg.get(key) for key in ('max_epochs', 'max_iters')],
        'schedule': plain([schedulers] if isinstance(schedulers, dict) else schedulers),
        'weights': get_lrs_and_decays(model, cfg.optim_wrapper, rate_alone),
        'clipping': (cfg.optim_wrapper.get('clip_grad') or {}).get('max_norm'),
        'mixed precision': cfg.optim_wrapper.type != 'OptimWrapper',
        'heads': plain(heads, FITTING),
    }


LONG = ('other_heads/mask2former_gcvit_b_ade20k', 'other_heads/mask2former_gcvit_t_cityscapes')


@pytest.mark.parametrize(
    'name',
    [
        *sorted(CLAIMED.keys() - LONG),
        *(pytest.param(name, marks=pytest.mark.long) for name in LONG),
    ],
)
def test_a_claimed_recipe_equals_the_installed_packages(name):
    """Backbones of the package are compared too, with sizes and drop path.

    It exempts those norms of Swin only.
    """
    package, _, path = CLAIMED[name].partition('::')
    installed = Path(import_module(package).__file__).parent
    theirs = Config.fromfile(installed / '.mim' / 'configs' / f'{path}.py')
    ours = read(name)
    model = build_on_meta(deepcopy(ours))
    # Our recipes never apply weight decay to the batch norms of heads.
    rate_alone = r'\.bn\.'
    if name.startswith('other_heads/'):
        rate_alone += r'|^backbone\..*(norm|position)'
    assert read_recipe(ours, model, rate_alone) == read_recipe(theirs, model, rate_alone)
    assert ours.auto_scale_lr.base_batch_size == GPUS * ours.train_dataloader.batch_size
    if name.startswith('baselines/'):
        # The original packages name a host that is down.
        url, their_url = (cfg.model.backbone.init_cfg.checkpoint for cfg in (ours, theirs))
        assert url == their_url.replace('download.openmmlab.com', 'mmassets.onedl.ai')
        backbone = theirs.model.backbone
        backbone.update(init_cfg=None, out_indices=model.backbone.out_indices)
        theirs = build_on_meta(Config({**ours._cfg_dict, 'model': backbone}))
        model.backbone.init_cfg = theirs.init_cfg
        assert str(model.backbone) == str(theirs)
