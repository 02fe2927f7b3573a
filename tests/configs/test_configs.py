"""Build every config and compare its channels, parameters and multiply-adds with the model zoo."""

import re
from itertools import product

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from tools.get_flops import count_by_part, count_macs, count_parameters

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


def find_mask_head(model):
    """Return the Mask2Former head of an mmdet or mmseg model, or None."""
    heads = (getattr(model, name, None) for name in ('panoptic_head', 'decode_head'))
    return next((head for head in heads if hasattr(head, 'pixel_decoder')), None)


def find_faults_in_config(cfg, model, metadata):
    """Yield the faults of a config and its model on the meta device, compared with its metafile entry if any."""
    yield from find_wrong_groups(cfg, model)
    maps = model.backbone(torch.empty(1, 3, 64, 64, device='meta'))
    if model.with_neck:
        maps = model.neck(maps)
    if masks := find_mask_head(model):
        decoder = masks.pixel_decoder
        for conv, found in zip((*decoder.lateral_convs, *decoder.input_convs[::-1]), maps, strict=True):
            conv(found)
    elif cfg.default_scope != 'mmdet':
        scores = [getattr(model, name)(maps) for name in ('head', 'decode_head', 'auxiliary_head') if name in cfg.model]
        if len({found.shape[1] for found in scores}) > 1:
            yield 'its heads have different numbers of classes'
    if metadata and count_parameters(model) != metadata['Parameters']:
        yield f'{count_parameters(model)} parameters, {metadata["Parameters"]} in the metafile'
    # DINO and Mask2Former need real tensors; they are tested below.
    if metadata and not hasattr(model, 'forward_transformer') and find_mask_head(model) is None:
        parts = count_by_part(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
        macs = sum(part.macs for part in parts)
        if parts[0].name != 'backbone' or macs != pytest.approx(metadata['FLOPs'], rel=1e-3):
            yield f'{macs} multiply-adds, {metadata["FLOPs"]} in the metafile'


@pytest.mark.slow
@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
@torch.no_grad()
def test_models_build_and_match_the_metafiles(scope):
    wrong = {}
    for name in EVERY:
        cfg = read(name)
        if cfg.default_scope == scope:
            wrong[name] = [*find_faults_in_config(cfg, get_model(name), ENTRIES.get(name, {}).get('Metadata'))]
    assert len(wrong) > 8
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.slow
def test_the_docs_count_parameters_and_multiply_adds_by_window_size():
    (table,) = [table for table in find_tables('docs/ablations.md') if table[0][0] == '`window_size`']
    for (window, *cells), (column, name) in product(table[1:], enumerate(('mask_rcnn_gcvit_t', 'upernet_gcvit_t'))):
        cfg = read(name)
        cfg.model.backbone.window_size = int(window)
        model, size = build_on_meta(cfg).eval(), ENTRIES[name]['Metadata']['FLOPs Input Size'].split('x')
        macs = sum(part.macs for part in count_by_part(model, tuple(map(int, size))))
        assert cells[column] == f'{count_parameters(model) / 1e6:.2f}, {macs / 1e9:.1f}'


@pytest.mark.long
@pytest.mark.parametrize('name', [DINO[0], *MASK2FORMER])
def test_multiply_adds_of_transformer_decoders_are_counted(name):
    """They run on real tensors in a process of its own, since they take 1.5 GB."""
    metadata = ENTRIES[name]['Metadata']
    config, size = ENTRIES[name]['Config'], metadata['FLOPs Input Size'].split('x')
    output = call('', ROOT / 'tools' / 'get_flops.py', config, '--shape', *size)
    (counted,) = re.findall(r'\*\*whole model\*\* .* \*\*([\d.]+)\*\* \|$', output, re.MULTILINE)
    assert float(counted) * 1e9 == pytest.approx(metadata['FLOPs'], rel=1e-3)


def test_dinos_differ_by_their_backbone_and_neck():
    """Encoder, decoder and head are equal in all DINO configs and need the same multiply-adds."""

    def following(name):
        model = get_model(name)
        image = torch.empty(1, 3, 800, 1280, device='meta')
        return ENTRIES[name]['Metadata']['FLOPs'] - count_macs(lambda: model.neck(model.backbone(image)))

    assert len({following(name) for name in DINO}) == 1


def test_the_backbone_of_dino_has_a_tenth_of_the_lr():
    model = get_model('dino_gcvit_t_12e')
    groups = build_optim_wrapper(model, read('dino_gcvit_t_12e').optim_wrapper).optimizer.param_groups
    backbone = {*model.backbone.parameters()}
    for group in groups:
        assert {group['lr']} == {1e-5 if weight in backbone else 1e-4 for weight in group['params']}


def test_every_config_resumes_exactly_and_loads_checkpoints_safely():
    for name in EVERY:
        cfg = read(name)
        assert cfg.default_hooks.exact_resume.type == 'mmgcvit.ExactResumeHook', name
        assert cfg.train_cfg.type in ('mmgcvit.EpochBasedTrainLoop', 'mmgcvit.IterBasedTrainLoop'), name
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
        images, accumulated = cfg.train_dataloader.batch_size, cfg.optim_wrapper.get('accumulative_counts', 1)
        if name.startswith('demo/'):
            assert (batch[:11], str(images) in batch.split()) == ('1 process x', True), name
        elif name.startswith('custom'):
            assert (batch, cfg.auto_scale_lr.enable) == (f'any x {images}, lr scaled', True), name
        else:
            assert batch == ' x '.join(map(str, [8, images] + [accumulated] * (accumulated > 1))), name
