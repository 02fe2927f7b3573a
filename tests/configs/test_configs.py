"""Every config builds, what follows the backbone fits it, and the recipe is what it says."""

import re

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from ..conftest import ROOT
from .models import head_of, norms_and_tables, on_meta, parameters_of, read, undecayed

CONFIGS = sorted(
    str(path.relative_to(ROOT / 'configs').with_suffix(''))
    for folder in ('configs', 'configs/demo')
    for path in (ROOT / folder).glob('*.py')
)
# Parameters in millions of the whole model with the position tables of windows of 24.
PARAMETERS = {
    'mask_rcnn_gcvit_t': 48.29,
    'mask_rcnn_gcvit_s': 71.25,
    'mask_rcnn_gcvit_b': 110.56,
    'cascade_gcvit_t': 86.13,
    'cascade_gcvit_s': 109.08,
    'cascade_gcvit_b': 148.40,
    'upernet_gcvit_t': 58.45,
    'upernet_gcvit_s': 83.40,
    'upernet_gcvit_b': 124.70,
    'dino_gcvit_l': 224.76,
}


@pytest.fixture(scope='module', params=CONFIGS)
def built(request):
    """Each config and its model."""
    cfg = read(request.param)
    return cfg, on_meta(cfg)


@torch.no_grad()
def test_the_model_builds_and_what_follows_takes_the_backbones_maps(built):
    cfg, model = built
    model.eval()
    maps = model.backbone(torch.zeros(1, 3, 64, 64, device='meta'))
    channels = [found.shape[1] for found in maps]
    if cfg.default_scope == 'mmpretrain':
        assert model.head(model.neck(maps)).shape == (1, cfg.model.head.num_classes)
    elif cfg.default_scope == 'mmseg':
        assert channels == list(cfg.model.decode_head.in_channels)
        assert channels[cfg.model.auxiliary_head.in_index] == cfg.model.auxiliary_head.in_channels
        for head in (model.decode_head, model.auxiliary_head):
            assert head(maps).shape[1] == cfg.model.decode_head.num_classes
    else:
        assert channels == list(cfg.model.neck.in_channels)
        assert len(model.neck(maps)) == cfg.model.neck.num_outs


def test_norms_and_position_tables_have_no_weight_decay_and_nothing_else(built):
    """In classification no vector has any."""
    expected = norms_and_tables(*built)
    assert expected
    assert undecayed(*built) == expected


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters_of_the_whole_model(name):
    cfg = read(name)
    cfg.model.backbone.window_size = 24
    assert round(parameters_of(on_meta(cfg)) / 1e6, 2) == PARAMETERS[name]


def test_the_backbone_of_a_detector_by_queries_learns_at_a_tenth_of_the_rate():
    cfg = read('dino_gcvit_t_12e')
    model = on_meta(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    for group in optimizer.param_groups:
        for parameter in group['params']:
            assert group['lr'] == pytest.approx(1e-5 if id(parameter) in backbone else 1e-4)


EXPERIMENTS = [name for name in CONFIGS if not name.startswith(('demo/', 'custom'))]
README = (ROOT / 'configs' / 'README.md').read_text()


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_a_head_says_what_to_expect_and_leaves_to_the_readme_what_all_share(name):
    head = head_of(name)
    assert re.search(r'^Expected: ', head, re.MULTILINE)
    assert re.search(r'^Memory:   ', head, re.MULTILINE)
    assert 'run in full' in head
    assert 'dist_train.sh' not in head
    assert 'CC BY-NC' not in head


def test_demos_and_templates_say_how_to_run_them():
    """Not by the readme's lines."""
    others = [name for name in CONFIGS if name not in EXPERIMENTS]
    assert len(others) == 11
    for name in others:
        assert 'Run:' in head_of(name), name


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_the_head_of_a_config_in_float32_says_what_mixed_precision_gives_and_no_other_does(name):
    in_float32 = read(name).optim_wrapper.type == 'OptimWrapper'
    assert bool(re.search(r'^--amp: ', head_of(name), re.MULTILINE)) == in_float32


def test_the_readme_of_the_configs_says_how_to_run_one_and_start_without_weights():
    for line in (
        'tools/dist_train.sh configs/NAME.py 8',
        'tools/dist_test.sh configs/NAME.py',
        '--cfg-options model.backbone.init_cfg=None',
        '--cfg-options model.backbone.init_cfg.checkpoint=FILE_OR_ADDRESS',
        '--cfg-options default_hooks.tf32.enabled=False',
    ):
        assert line in README
    assert 'not for commercial use' in README


def readme_rows():
    """The table of the readme: names of configs, and the column of the batch."""
    for line in README[: README.index('## How to run one')].splitlines():
        if line.startswith('| `'):
            cells = [cell.strip() for cell in line.strip('|').split(' | ')]
            yield re.findall(r'`(\S+)`', cells[0]), cells[-1]


def test_the_readme_of_the_configs_names_each_once():
    named = [name for names, _ in readme_rows() for name in names]
    assert sorted(named) == CONFIGS


def test_the_readme_of_the_configs_says_their_batches():
    for names, batch in readme_rows():
        for name in names:
            cfg = read(name)
            images, accumulated = cfg.train_dataloader.batch_size, cfg.optim_wrapper.get('accumulative_counts', 1)
            if name.startswith('demo/'):
                assert batch == '1 process x 64 or 8'
                assert images in (64, 8)
            elif name.startswith('custom'):
                assert batch == f'any x {images}, rate scaled'
                assert cfg.auto_scale_lr.enable
            else:
                assert batch == ' x '.join(map(str, [8, images] + [accumulated] * (accumulated > 1)))


@pytest.mark.parametrize('name', CONFIGS)
def test_a_resumed_run_of_every_config_is_the_run(name):
    cfg = read(name)
    assert cfg.default_hooks.exact_resume.type == 'mmgcvit.ExactResumeHook'
    assert cfg.train_cfg.type in ('mmgcvit.EpochBasedTrainLoop', 'mmgcvit.IterBasedTrainLoop')
    assert 'by_epoch' not in cfg.train_cfg


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_has_the_switch_for_tf32(name):
    assert read(name).default_hooks.tf32 == {'type': 'mmgcvit.TF32Hook', 'enabled': True}


def flat(value, name=''):
    """A nested config as {dotted name: value}."""
    if isinstance(value, dict):
        return {key: leaf for part, inner in value.items() for key, leaf in flat(inner, f'{name}.{part}').items()}
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        return {key: leaf for i, inner in enumerate(value) for key, leaf in flat(inner, f'{name}.{i}').items()}
    return {name[1:]: value}


DEMOS = {
    'demo/mask_rcnn_gcvit_digits': 'mask_rcnn_gcvit_t',
    'demo/gcvit_digits_cls': 'gcvit_xxt_in1k',
    'demo/upernet_gcvit_digits': 'upernet_gcvit_t',
    'demo/lsa_digits_cls': 'lsa_t_in1k',
}
DATA = re.compile(
    r'(data_|dataset|metainfo|crop_size|model\.data_preprocessor\.size|class_weight|\w+\.\w+\.loss_decode\.class_weight|scale|slant|short_sides|tta_pipeline|\w+_pipeline|\w+_dataloader|\w+_evaluator|bgr_)'
)
SCHEDULE = re.compile(
    r'(lr|accumulative_counts|param_scheduler|max_epochs|max_iters|train_cfg|optim_wrapper\.(optimizer\.lr|clip_grad|accumulative)|'
    r'custom_hooks|default_hooks|randomness|auto_scale_lr|model\.train_cfg\.augments)'
)
SIZES = re.compile(
    r'model\..*(embed_dims|depths|num_heads|mlp_ratio|arch|window_size|pretrain_img_size|drop_path_rate|channels|num_outs|'
    r'scales|ratios|strides|finest_scale|kernel_size|stride|padding|shifts|img_size|num_classes|num_convs|num|nms_pre|max_per_img)(\.\d+)?$'
)
START = re.compile(r'(released|model\.backbone\.init_cfg)')


@pytest.mark.parametrize('demo', DEMOS)
def test_a_demo_differs_from_its_full_config_only_in_data_sizes_schedule_and_start(demo):
    small, full = (flat(read(name)._cfg_dict.to_dict()) for name in (demo, DEMOS[demo]))
    different = {key for key in small.keys() | full.keys() if small.get(key) != full.get(key)}
    allowed = (DATA, SCHEDULE, SIZES, START)
    assert not {key for key in different if not any(kind.match(key) for kind in allowed)}


def test_the_digits_detector_takes_another_backbone_by_one_setting():
    lsa, gcvit = (flat(read(f'demo/mask_rcnn_{name}_digits')._cfg_dict.to_dict()) for name in ('lsa', 'gcvit'))
    different = {key for key in lsa.keys() | gcvit.keys() if lsa.get(key) != gcvit.get(key)}
    assert {key.split('.')[0] for key in different} == {'model', 'lsa', 'start'}
    assert {key.split('.')[1] for key in different if key.startswith('model')} == {'backbone'}
