"""Every config builds, what follows the backbone fits it, and its numbers are the model zoo's."""

import re
from itertools import product

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmgcvit.experiments.complexity import count_macs, count_parts

from ..conftest import ROOT
from ..tools.commands import call
from .models import ENTRIES, head_of, model_of, on_meta, parameters_of, read, wrong_groups

FOLDERS = ('ablations', 'baselines', 'demo', 'other_heads')
PATHS = [path for folder in ('', *FOLDERS) for path in (ROOT / 'configs' / folder).glob('*.py')]
EVERY = sorted(str(path.relative_to(ROOT / 'configs').with_suffix('')) for path in PATHS)
# The ablations and baselines stand in docs/ablations.md, the others in the readme.
CONFIGS = [name for name in EVERY if not name.startswith(('ablations/', 'baselines/'))]
EXPERIMENTS = [name for name in EVERY if not name.startswith(('demo/', 'custom'))]
README = (ROOT / 'configs' / 'README.md').read_text()
# Parameters in millions of T, S and B with windows of 24.
PARAMETERS = {
    'mask_rcnn_gcvit': [48.29, 71.25, 110.56],
    'cascade_gcvit': [86.13, 109.08, 148.40],
    'upernet_gcvit': [58.45, 83.40, 124.70],
}
DINO = [name for name in ENTRIES if name.startswith('dino')]
MASK2FORMER = [name for name in ENTRIES if 'mask2former' in name]


def head_by_masks(model):
    """Mask2Former's head in mmdet's model or in mmseg's; None of other models."""
    heads = (getattr(model, name, None) for name in ('panoptic_head', 'decode_head'))
    return next((head for head in heads if hasattr(head, 'pixel_decoder')), None)


def wrong_with(cfg, model, metadata):
    """What is wrong with a config and its model on the meta device; with a metafile's numbers, if it has one."""
    yield from wrong_groups(cfg, model)
    maps = model.backbone(torch.empty(1, 3, 64, 64, device='meta'))
    if model.with_neck:
        maps = model.neck(maps)
    if masks := head_by_masks(model):
        decoder = masks.pixel_decoder
        for conv, found in zip((*decoder.lateral_convs, *decoder.input_convs[::-1]), maps, strict=True):
            conv(found)
        if masks.cls_embed.out_features != masks.num_classes + 1:
            yield 'its head does not give a score a class and one for none'
    elif cfg.default_scope != 'mmdet':
        heads = [getattr(model, name) for name in ('head', 'decode_head', 'auxiliary_head') if hasattr(model, name)]
        classes = cfg.model.get('head', cfg.model.get('decode_head')).num_classes
        if any(head(maps).shape[1] != classes for head in heads):
            yield 'its heads do not give a score a class'
    if metadata and parameters_of(model) != metadata['Parameters']:
        yield f'{parameters_of(model)} parameters, {metadata["Parameters"]} in the metafile'
    # DINO and Mask2Former compute for real, below.
    if metadata and not hasattr(model, 'forward_transformer') and head_by_masks(model) is None:
        parts = count_parts(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
        macs = sum(part.macs for part in parts)
        if parts[0].name != 'backbone' or macs != pytest.approx(metadata['FLOPs'], rel=1e-3):
            yield f'{macs} multiply-adds, {metadata["FLOPs"]} in the metafile'


@pytest.mark.slow
@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
@torch.no_grad()
def test_models_build_fit_together_and_have_the_numbers_of_the_metafiles(scope):
    wrong = {}
    for name in EVERY:
        cfg = read(name)
        if cfg.default_scope == scope:
            wrong[name] = [*wrong_with(cfg, model_of(name), ENTRIES.get(name, {}).get('Metadata'))]
    assert len(wrong) > 8
    assert {name: found for name, found in wrong.items() if found} == {}


def test_parameters_with_windows_of_24():
    counted = {head: [] for head in PARAMETERS}
    for head, size in product(PARAMETERS, 'tsb'):
        cfg = read(f'{head}_{size}')
        cfg.model.backbone.window_size = 24
        counted[head].append(round(parameters_of(on_meta(cfg)) / 1e6, 2))
    assert counted == PARAMETERS


@pytest.mark.long
@pytest.mark.parametrize('name', [DINO[0], *MASK2FORMER])
def test_multiply_adds_of_transformer_decoders_are_counted(name):
    """They run for real, which takes 1.5 GB: in another process."""
    metadata = ENTRIES[name]['Metadata']
    config, size = ENTRIES[name]['Config'], metadata['FLOPs Input Size'].split('x')
    output = call('', '-m', 'mmgcvit', 'flops', config, '--shape', *size)
    (counted,) = re.findall(r'\*\*whole model\*\* .* \*\*([\d.]+)\*\* \|$', output, re.MULTILINE)
    assert float(counted) * 1e9 == pytest.approx(metadata['FLOPs'], rel=1e-3)


def test_dinos_differ_by_their_backbone_and_neck():
    """What follows is the same and needs as many multiply-adds in all of them."""

    def following(name):
        model = model_of(name)
        image = torch.empty(1, 3, 800, 1280, device='meta')
        return ENTRIES[name]['Metadata']['FLOPs'] - count_macs(lambda: model.neck(model.backbone(image)))

    assert len({following(name) for name in DINO}) == 1


def test_the_backbone_of_dino_learns_at_a_tenth_of_the_rate():
    model = model_of('dino_gcvit_t_12e')
    groups = build_optim_wrapper(model, read('dino_gcvit_t_12e').optim_wrapper).optimizer.param_groups
    backbone = {*model.backbone.parameters()}
    for group in groups:
        assert {group['lr']} == {1e-5 if weight in backbone else 1e-4 for weight in group['params']}


def test_every_config_resumes_exactly_and_reads_checkpoints_as_data():
    for name in EVERY:
        cfg = read(name)
        assert cfg.default_hooks.exact_resume.type == 'mmgcvit.ExactResumeHook', name
        assert cfg.train_cfg.type in ('mmgcvit.EpochBasedTrainLoop', 'mmgcvit.IterBasedTrainLoop'), name
        assert 'by_epoch' not in cfg.train_cfg, name
        assert 'safe_load' in cfg.default_hooks, name
        assert cfg.default_hooks.tf32 == {'type': 'mmgcvit.TF32Hook', 'enabled': True}, name
        # What all experiments share is left to the readme; demos and templates say themselves how to run them.
        assert ('Run:' in head_of(name)) == (name not in EXPERIMENTS), name
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
