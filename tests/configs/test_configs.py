"""Every config builds, what follows the backbone fits it, its numbers are the model zoo's, the recipe what it says."""

import re
from collections import defaultdict

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmgcvit.experiments.complexity import count_macs, model_parts

from ..conftest import ROOT
from ..tools.commands import call
from .models import ENTRIES, head_of, model_of, on_meta, parameters_of, read, wrong_groups

CONFIGS = sorted(
    str(path.relative_to(ROOT / 'configs').with_suffix(''))
    for folder in ('configs', 'configs/demo', 'configs/other_heads')
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
    'dino_gcvit_l': 224.63,
}


def head_by_masks(model):
    """Mask2Former's head, as of mmdet or of mmseg."""
    heads = (getattr(model, name, None) for name in ('panoptic_head', 'decode_head'))
    return next((head for head in heads if hasattr(head, 'pixel_decoder')), None)


def convs_of(head):
    """Those which the maps go through first in a head by masks, of the largest map first."""
    return [conv.conv for conv in (*head.pixel_decoder.lateral_convs, *head.pixel_decoder.input_convs[::-1])]


def channels_for(head):
    return [conv.in_channels for conv in convs_of(head)]


def maps_of(model, *size):
    """What backbone and neck make of an image on the meta device."""
    maps = model.backbone(torch.empty(1, 3, *size, device='meta'))
    return model.neck(maps) if model.with_neck else maps


def wrong_with(cfg, model, metadata):
    """What does not hold of a config and its model on the meta device; with a metafile's numbers, if it has one."""
    yield from wrong_groups(cfg, model)
    maps = model.backbone(torch.empty(1, 3, 64, 64, device='meta'))
    channels = [found.shape[1] for found in maps]
    if cfg.default_scope == 'mmpretrain':
        if model.head(model.neck(maps)).shape != (1, cfg.model.head.num_classes):
            yield 'its head gives other than a score a class'
    elif masks := head_by_masks(model):
        if channels_for(masks) != [found.shape[1] for found in maps_of(model, 64, 64)]:
            yield f'its head takes other maps than those of {channels} channels behind the neck'
        if masks.cls_embed.out_features != masks.num_classes + 1 or len(masks.class_weight) != masks.num_classes + 1:
            yield 'its head gives other than a score a class and one for none'
    elif cfg.default_scope == 'mmseg':
        auxiliary = cfg.model.auxiliary_head
        if channels != list(cfg.model.decode_head.in_channels) or channels[auxiliary.in_index] != auxiliary.in_channels:
            yield f'its heads take other maps than of {channels} channels'
        if {head(maps).shape[1] for head in (model.decode_head, model.auxiliary_head)} != {
            model.decode_head.num_classes
        }:
            yield 'its heads give other than a score a class'
    elif channels != list(cfg.model.neck.in_channels) or len(model.neck(maps)) != cfg.model.neck.get(
        'num_outs', len(channels)
    ):
        yield f'its neck takes other maps than of {channels} channels, or gives another number'
    if metadata and parameters_of(model) != metadata['Parameters']:
        yield f'{parameters_of(model)} parameters, {metadata["Parameters"]} in the metafile'
    # What finds by queries computes for real, below.
    if metadata and not hasattr(model, 'forward_transformer') and head_by_masks(model) is None:
        parts = model_parts(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
        macs = sum(part.macs for part in parts)
        if parts[0].name != 'backbone' or macs != pytest.approx(metadata['FLOPs'], rel=1e-3):
            yield f'{macs} multiply-adds, {metadata["FLOPs"]} in the metafile'


@pytest.mark.slow
@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
@torch.no_grad()
def test_models_build_fit_together_and_have_the_numbers_of_the_metafiles(scope):
    wrong = {}
    for name in CONFIGS:
        cfg = read(name)
        # What reads text needs BERT: tests/integrations/test_grounding.py.
        if cfg.default_scope == scope and 'language_model' not in cfg.model:
            wrong[name] = [*wrong_with(cfg, model_of(name), ENTRIES.get(name, {}).get('Metadata'))]
    assert len(wrong) > 8
    assert {name: found for name, found in wrong.items() if found} == {}


def test_parameters_of_the_whole_model():
    counted = {}
    for name in PARAMETERS:
        cfg = read(name)
        cfg.model.backbone.window_size = 24
        counted[name] = round(parameters_of(on_meta(cfg)) / 1e6, 2)
    assert counted == PARAMETERS


BY_QUERIES = [name for name in ENTRIES if name.startswith('dino')]
# By their task and data, the smallest of each first.
BY_MASKS = defaultdict(list)
for name in ENTRIES:
    if name.startswith('other_heads/mask2former'):
        BY_MASKS[re.sub('.*_[tsb](_|$)', '', name)].append(name)


@pytest.mark.long
@pytest.mark.parametrize('name', [BY_QUERIES[0], *(BY_MASKS[task][0] for task in ('', 'ade20k'))])
def test_multiply_adds_of_what_finds_by_queries_are_counted(name):
    """It runs for real, which takes 1.5 GB: in another process, and one for all, which differ in backbone and neck."""
    metadata = ENTRIES[name]['Metadata']
    config, size = ENTRIES[name]['Config'], metadata['FLOPs Input Size'].split('x')
    output = call('', '-m', 'mmgcvit', 'flops', config, '--shape', *size)
    (counted,) = re.findall(r'\*\*whole model\*\* .* \*\*([\d.]+)\*\* \|$', output, re.MULTILINE)
    assert float(counted) * 1e9 == pytest.approx(metadata['FLOPs'], rel=1e-3)


def test_detectors_by_queries_differ_by_their_backbone_and_neck():
    """What follows is the same and needs as many multiply-adds in all of them."""

    def following(name):
        model = model_of(name)
        image = torch.empty(1, 3, 800, 1280, device='meta')
        return ENTRIES[name]['Metadata']['FLOPs'] - count_macs(lambda: model.neck(model.backbone(image)))

    assert len(BY_QUERIES) == 8
    assert len({following(name) for name in BY_QUERIES}) == 1


@pytest.mark.slow
def test_mask2formers_of_a_task_differ_by_what_makes_maps_and_takes_them():
    def following(name):
        model, metadata = model_of(name), ENTRIES[name]['Metadata']
        size = map(int, metadata['FLOPs Input Size'].split('x'))

        def maps_taken():
            for conv, found in zip(convs_of(head_by_masks(model)), maps_of(model, *size), strict=True):
                conv(found)

        return metadata['FLOPs'] - count_macs(maps_taken)

    assert {task: len(names) for task, names in BY_MASKS.items()} == {
        '': 4,
        'panoptic': 3,
        'ade20k': 3,
        'cityscapes': 3,
    }
    for task, names in BY_MASKS.items():
        assert len({following(name) for name in names}) == 1, task


@pytest.mark.parametrize('name', ['dino_gcvit_t_12e', *(names[0] for names in BY_MASKS.values())])
def test_the_backbone_of_what_finds_by_queries_learns_at_a_tenth_of_the_rate(name):
    model = model_of(name)
    optimizer = build_optim_wrapper(model, read(name).optim_wrapper).optimizer
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    for group in optimizer.param_groups:
        for parameter in group['params']:
            assert group['lr'] == pytest.approx(1e-5 if id(parameter) in backbone else 1e-4)


EXPERIMENTS = [name for name in CONFIGS if not name.startswith(('demo/', 'custom'))]
README = (ROOT / 'configs' / 'README.md').read_text()


def test_every_config_has_the_switches_and_its_head_says_what_to_expect():
    """What all share is left to the readme; demos and templates say themselves how to run them."""
    wrong = defaultdict(list)
    for name in CONFIGS:
        cfg, head = read(name), head_of(name)
        loops = ('mmgcvit.EpochBasedTrainLoop', 'mmgcvit.IterBasedTrainLoop')
        checks = {
            'a resumed run is the run': cfg.default_hooks.exact_resume.type == 'mmgcvit.ExactResumeHook'
            and cfg.train_cfg.type in loops
            and 'by_epoch' not in cfg.train_cfg,
            'checkpoints are data under the hosts own scripts': 'safe_load' in cfg.default_hooks,
            'a switch for TF32': cfg.default_hooks.tf32 == {'type': 'mmgcvit.TF32Hook', 'enabled': True},
        }
        if name in EXPERIMENTS:
            checks |= {
                'expectation': re.search(r'^Expected: ', head, re.MULTILINE),
                'what was run': 'Not run in full.' in re.sub(r'\s+', ' ', head),
                "no words of the readme's": 'dist_train.sh' not in head and 'CC BY-NC' not in head,
            }
        else:
            checks['how to run it'] = 'Run:' in head
        wrong[name] = [what for what, is_so in checks.items() if not is_so]
    assert len(CONFIGS) - len(EXPERIMENTS) == 13
    assert {name: found for name, found in wrong.items() if found} == {}


def test_the_readme_of_the_configs_names_each_once_with_its_batch_and_says_how_to_run_one():
    for line in (
        'tools/dist_train.sh configs/NAME.py 8',
        'tools/dist_test.sh configs/NAME.py',
        '--cfg-options model.backbone.init_cfg=None',
        '--cfg-options model.backbone.init_cfg.checkpoint=FILE_OR_ADDRESS',
        '--cfg-options default_hooks.tf32.enabled=False',
        'not for commercial use',
    ):
        assert line in README
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
            assert (batch, cfg.auto_scale_lr.enable) == (f'any x {images}, rate scaled', True), name
        else:
            assert batch == ' x '.join(map(str, [8, images] + [accumulated] * (accumulated > 1))), name
