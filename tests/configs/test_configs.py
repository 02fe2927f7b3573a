"""Build every config and compare its channels, parameters and multiply-adds with the model zoo."""

import re
from itertools import product

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from tools.get_flops import count_by_part, count_parameters

from ..conftest import ROOT
from ..docs.pages import find_tables
from ..tools.commands import call
from .models import ENTRIES, build_on_meta, find_wrong_groups, get_model, read, read_docstring

FOLDERS = ('ablations', 'baselines', 'demo', 'other_heads')
PATHS = [path for folder in ('', *FOLDERS) for path in (ROOT / 'configs' / folder).glob('*.py')]
EVERY = sorted(str(path.relative_to(ROOT / 'configs').with_suffix('')) for path in PATHS)
# docs/ablations.md lists ablations and baselines; the README of configs lists the others.
CONFIGS = [name for name in EVERY if not name.startswith(('ablations/', 'baselines/'))]
EXPERIMENTS = [name for name in EVERY if not name.startswith(('demo/', 'custom'))]
README = (ROOT / 'configs' / 'README.md').read_text()
DINO = [name for name in ENTRIES if name.startswith('dino')]
MASK2FORMER = [name for name in ENTRIES if 'mask2former' in name]


@pytest.mark.slow
@pytest.mark.parametrize(
    'names', [CONFIGS, pytest.param({*EVERY} - {*CONFIGS}, marks=pytest.mark.long)]
)
def test_models_build_with_the_parameters_of_the_metafiles_in_groups_of_the_recipes(names):
    wrong = {}
    for name in names:
        cfg, model, metadata = read(name), get_model(name), ENTRIES.get(name, {}).get('Metadata')
        wrong[name] = [*find_wrong_groups(cfg, model)]
        if metadata and count_parameters(model) != metadata['Parameters']:
            wrong[name] += [
                f'{count_parameters(model)} parameters, {metadata["Parameters"]} in the metafile'
            ]
    assert len(wrong) > 30
    assert {name: found for name, found in wrong.items() if found} == {}


# In make test, one config of each network and head. Demos and templates are trained.
FEW = (
    'mask_rcnn_gcvit_t',
    'dino_gcvit_t_12e',
    'upernet_lsa_s',
    'gcvit_xxt_in1k',
    'lsa_b_cifar10',
    *MASK2FORMER[:1],
)


@pytest.mark.parametrize(
    'name', [x if x in FEW else pytest.param(x, marks=pytest.mark.long) for x in EVERY]
)
@torch.no_grad()
def test_maps_fit_all_parts_and_multiply_adds_are_those_of_the_metafile(name):
    cfg, model, metadata = read(name), get_model(name), ENTRIES.get(name, {}).get('Metadata')
    maps = model.backbone(torch.empty(1, 3, 64, 64, device='meta'))
    if model.with_neck:
        maps = model.neck(maps)
    heads = [
        getattr(model, head) for head in ('panoptic_head', 'decode_head') if hasattr(model, head)
    ]
    if masks := [head for head in heads if hasattr(head, 'pixel_decoder')]:
        decoder = masks[0].pixel_decoder
        for conv, found in zip(
            (*decoder.lateral_convs, *decoder.input_convs[::-1]), maps, strict=True
        ):
            conv(found)
    elif cfg.default_scope != 'mmdet':
        scores = [
            getattr(model, head)(maps)
            for head in ('head', 'decode_head', 'auxiliary_head')
            if head in cfg.model
        ]
        assert len({found.shape[1] for found in scores}) == 1, 'numbers of classes'
    # DINO and Mask2Former need real tensors; they are tested below.
    if metadata and name not in (*DINO, *MASK2FORMER):
        parts = count_by_part(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
        assert parts[0].name == 'backbone'
        assert sum(part.macs for part in parts) == pytest.approx(metadata['FLOPs'], rel=1e-3)


@pytest.mark.long
def test_the_docs_count_parameters_and_multiply_adds_by_window_size():
    (table,) = [
        table for table in find_tables('docs/ablations.md') if table[0][0] == '`window_size`'
    ]
    for (window, *cells), (column, name) in product(
        table[1:], enumerate(('mask_rcnn_gcvit_t', 'upernet_gcvit_t'))
    ):
        cfg = read(name)
        cfg.model.backbone.window_size = int(window)
        model, size = (
            build_on_meta(cfg).eval(),
            ENTRIES[name]['Metadata']['FLOPs Input Size'].split('x'),
        )
        macs = sum(part.macs for part in count_by_part(model, tuple(map(int, size))))
        assert cells[column] == f'{count_parameters(model) / 1e6:.2f}, {macs / 1e9:.1f}'


@pytest.mark.long
@pytest.mark.parametrize('name', [*DINO, *MASK2FORMER])
def test_multiply_adds_of_transformer_decoders_are_counted(name):
    """They run on real tensors in a process of its own, since they take 1.5 GB."""
    metadata = ENTRIES[name]['Metadata']
    config, size = ENTRIES[name]['Config'], metadata['FLOPs Input Size'].split('x')
    output = call('', ROOT / 'tools' / 'get_flops.py', config, '--shape', *size)
    (counted,) = re.findall(r'\*\*whole model\*\* .* \*\*([\d.]+)\*\* \|$', output, re.MULTILINE)
    assert float(counted) * 1e9 == pytest.approx(metadata['FLOPs'], rel=1e-3)


def test_the_backbone_of_dino_has_a_tenth_of_the_lr():
    model = get_model('dino_gcvit_t_12e')
    groups = build_optim_wrapper(
        model, read('dino_gcvit_t_12e').optim_wrapper
    ).optimizer.param_groups
    backbone = {*model.backbone.parameters()}
    for group in groups:
        assert {group['lr']} == {1e-5 if weight in backbone else 1e-4 for weight in group['params']}


def test_every_config_resumes_exactly_and_loads_checkpoints_safely():
    for name in EVERY:
        cfg = read(name)
        assert cfg.default_hooks.exact_resume.type == 'mmgcvit.ExactResumeHook', name
        assert cfg.train_cfg.type in (
            'mmgcvit.EpochBasedTrainLoop',
            'mmgcvit.IterBasedTrainLoop',
        ), name
        assert 'by_epoch' not in cfg.train_cfg, name
        assert 'safe_load' in cfg.default_hooks, name
        assert cfg.default_hooks.val_visualization.type == 'mmgcvit.ValVisualizationHook', name
        # The README says how to run experiments; demos and templates say it themselves.
        assert ('Run:' in read_docstring(name)) == (name not in EXPERIMENTS), name
    assert 'None of these trainings has been run in full' in README
    assert 'not for commercial use' in README


def test_the_readme_names_each_config_once_with_its_batch():
    batches = {}
    for line in README[: README.index('## How to run one')].splitlines():
        if line.startswith('| `'):
            cells = [cell.strip() for cell in line.strip('|').split(' | ')]
            for name in re.findall(r'`(\S+)`', cells[0]):
                assert name not in batches, name
                batches[name] = cells[-1]
    assert sorted(batches) == CONFIGS
    for name, batch in batches.items():
        cfg = read(name)
        images, accumulated = (
            cfg.train_dataloader.batch_size,
            cfg.optim_wrapper.get('accumulative_counts', 1),
        )
        if name.startswith('demo/'):
            assert (batch[:11], str(images) in batch.split()) == ('1 process x', True), name
        elif name.startswith('custom'):
            assert (batch, cfg.auto_scale_lr.enable) == (f'any x {images}, lr scaled', True), name
        else:
            assert batch == ' x '.join(map(str, [8, images] + [accumulated] * (accumulated > 1))), (
                name
            )
