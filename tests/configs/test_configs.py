"""Build every config and compare its channels, parameters and multiply-adds with the model zoo.

Modules: `configs`.
"""

import re

import pytest
import torch

from tools.get_flops import count_by_part, count_parameters

from ..docs.pages import find_table, read_page
from ..tools.commands import TOOLS, call
from .models import (
    ENTRIES,
    EVERY,
    FEW,
    build_on_meta,
    get_image_size,
    get_lrs_and_decays,
    get_model,
    has_decay_of_recipe,
    read,
    read_docstring,
)

# docs/ablations.md lists ablations and baselines; the README of configs lists the others.
CONFIGS = [name for name in EVERY if not name.startswith(('ablations/', 'baselines/'))]
README = ' '.join(read_page('configs/README.md').split())
# Their transformers need real tensors.
TRANSFORMERS = [name for name in ENTRIES if name.startswith('dino') or 'mask2former' in name]
OTHER_TRANSFORMERS = sorted(
    {*TRANSFORMERS} - {'dino_gcvit_l', 'other_heads/mask2former_gcvit_t_ade20k'}
)
METADATA = {name: ENTRIES.get(name, {}).get('Metadata') for name in EVERY}


@pytest.mark.slow
@pytest.mark.parametrize(
    'names', [CONFIGS, pytest.param({*EVERY} - {*CONFIGS}, marks=pytest.mark.long)]
)
def test_models_build_with_the_parameters_of_the_metafiles_in_groups_of_the_recipes(names):
    assert len(names) > 30
    for name in names:
        model = get_model(name)
        metadata = METADATA[name]
        assert has_decay_of_recipe(read(name), model), name
        assert not metadata or count_parameters(model) == metadata['Parameters'], name


def test_configs_import_the_modules_of_the_classes_that_they_name():
    """A config with custom_imports of its own replaces those of its base."""
    modules = {
        'mmgcvit.fixes.mmseg': ('IoUMetric', 'LovaszLoss'),
        'mmgcvit.fixes.mmdet': ('CocoMetric', 'RPNHead', 'MaxIoUAssigner'),
    }
    for name in EVERY:
        settings = read(name).to_dict()
        imported = settings.pop('custom_imports')['imports']
        for module, classes in modules.items():
            is_named = any(f"'mmgcvit.{cls}'" in str(settings) for cls in classes)
            assert not is_named or module in imported, name


# make test takes a few.
OTHERS = [pytest.param(name, marks=pytest.mark.long) for name in EVERY if name not in FEW]


@pytest.mark.parametrize('name', [*FEW, *OTHERS])
@torch.no_grad()
def test_maps_fit_all_parts_and_multiply_adds_are_those_of_the_metafile(name):
    cfg = read(name)
    model = get_model(name)
    metadata = METADATA[name]
    maps = model.extract_feat(torch.empty(1, 3, 64, 64, device='meta'))
    head = getattr(model, 'panoptic_head', getattr(model, 'decode_head', None))
    if hasattr(head, 'pixel_decoder'):
        decoder = head.pixel_decoder
        convs = (*decoder.lateral_convs, *decoder.input_convs[::-1])
        for conv, x in zip(convs, maps, strict=True):
            conv(x)
    elif cfg.default_scope != 'mmdet':
        heads = cfg.model.keys() & {'head', 'decode_head', 'auxiliary_head'}
        channels = {getattr(model, head)(maps).shape[1] for head in heads}
        assert len(channels) == 1, 'numbers of classes'
    if metadata and name not in TRANSFORMERS:
        parts = count_by_part(model, get_image_size(name))
        assert parts[0].name == 'backbone'
        assert sum(part.macs for part in parts) == pytest.approx(metadata['FLOPs'], rel=1e-3)


@pytest.mark.long
@pytest.mark.parametrize(('column', 'name'), [(1, 'mask_rcnn_gcvit_t'), (2, 'upernet_gcvit_t')])
def test_the_docs_count_parameters_and_multiply_adds_by_window_size(column, name):
    for row in find_table('docs/ablations.md', '`window_size`'):
        cfg = read(name)
        cfg.model.backbone.window_size = int(row[0])
        model = build_on_meta(cfg).eval()
        macs = sum(part.macs for part in count_by_part(model, get_image_size(name)))
        assert row[column] == f'{count_parameters(model) / 1e6:.2f}, {macs / 1e9:.1f}'


@pytest.mark.long
@pytest.mark.parametrize(
    'name',
    [
        'dino_gcvit_l',
        'other_heads/mask2former_gcvit_t_ade20k',
        *(pytest.param(name, marks=pytest.mark.release) for name in OTHER_TRANSFORMERS),
    ],
)
def test_multiply_adds_of_transformer_decoders_are_counted(name):
    """They run on real tensors in a process of its own, since they take 1.5 GB."""
    config = ENTRIES[name]['Config']
    output = call('', TOOLS / 'get_flops.py', config, '--shape', *get_image_size(name))
    (counted,) = re.findall(r'\*\*whole model\*\* .* \*\*([\d.]+)\*\* \|$', output, re.MULTILINE)
    assert float(counted) * 1e9 == pytest.approx(METADATA[name]['FLOPs'], rel=1e-3)


def test_the_backbone_of_dino_has_a_tenth_of_the_lr():
    name = 'dino_gcvit_t_12e'
    settings = get_lrs_and_decays(get_model(name), read(name).optim_wrapper)
    for name, (lr, _) in settings.items():
        assert lr == (1e-5 if name.startswith('backbone.') else 1e-4)


@pytest.mark.parametrize('name', EVERY)
def test_every_config_resumes_exactly_and_loads_checkpoints_safely(name):
    cfg = read(name)
    assert cfg.default_hooks.exact_resume.type == 'mmgcvit.ExactResumeHook'
    assert re.fullmatch(r'mmgcvit\.(Epoch|Iter)BasedTrainLoop', cfg.train_cfg.type)
    assert 'by_epoch' not in cfg.train_cfg
    assert 'safe_load' in cfg.default_hooks
    assert cfg.default_hooks.val_visualization.type == 'mmgcvit.ValVisualizationHook'
    # The README says how to run experiments; demos and templates say it themselves.
    assert ('Run:' in read_docstring(name)) == name.startswith(('demo/', 'custom'))


def test_the_readme_says_what_was_not_run_and_names_licences():
    assert 'None of these trainings has been run in full' in README
    assert 'not for commercial use' in README


def test_the_readme_names_each_config_once_with_its_batch():
    rows = find_table('configs/README.md', 'config', 'for')
    batches = [(name, row[-1]) for row in rows for name in re.findall(r'`(\S+)`', row[0])]
    assert sorted(name for name, _ in batches) == CONFIGS
    for name, batch in batches:
        cfg = read(name)
        images = cfg.train_dataloader.batch_size
        expected = f'8 x {images}'
        accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
        if name.startswith('demo/'):
            expected = rf'1 process x (\d+ or )?{images}( or \d+)?'
        elif name.startswith('custom'):
            # In proportion to the batch, AdamW's lr for classifiers would be too high on 8 GPUs.
            assert cfg.auto_scale_lr.enable == (name != 'custom_cls'), name
            expected = f'any x {images}' + ', lr scaled' * cfg.auto_scale_lr.enable
        elif accumulated > 1:
            expected += f' x {accumulated}'
        assert re.fullmatch(expected, batch), name
