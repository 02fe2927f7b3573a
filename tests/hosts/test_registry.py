"""What the package has is found from every host's registry, without an import of it; old module paths name the new."""

import re
import sys
from importlib import import_module

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement

import mmgcvit
from mmgcvit.hosts.mmengine import names_of, suspects

from ..conftest import ROOT
from ..programs import run

SCOPES = ['mmengine', 'mmdet', 'mmseg', 'mmpretrain']
BACKBONES = {mmgcvit.GCViT: 'xxtiny', mmgcvit.LSA: 'imagenet-tiny'}
NEEDED_BY_NO_BACKBONE = ['mmgcvit.engine', 'mmgcvit.hosts.mmdet', 'mmgcvit.commands', 'mmcv.ops', 'timm', *SCOPES[1:]]
REGISTERED = {
    'MODELS': ['RPNHead', 'SingleRoIExtractor', 'DINO', 'InstanceTTAModel', 'GCViT'],
    'DATASETS': ['ImageNetV2'],
    'OPTIM_WRAPPERS': ['AutoPrecisionOptimWrapper'],
    'OPTIM_WRAPPER_CONSTRUCTORS': ['LayerDecayOptimWrapperConstructor'],
    'STRATEGIES': ['FSDPStrategy'],
    'FUNCTIONS': ['wrap_blocks'],
    'TASK_UTILS': ['HungarianAssigner'],
    'TRANSFORMS': ['LoadReadable', 'MatchAnnotatedSize'],
    'HOOKS': [
        *('DryRunObserver', 'EndEarlyHook', 'ExactResumeHook', 'FiniteCheckpointsHook', 'FinitePredictionsHook'),
        *('FiniteStepsHook', 'TF32Hook', 'WholeCheckpointHook'),
    ],
    'LOOPS': ['EpochBasedTrainLoop', 'IterBasedTrainLoop'],
}


def test_the_backbones_build_in_every_scope():
    for scope in SCOPES:
        models = import_module(f'{scope}.registry').MODELS
        for network, arch in BACKBONES.items():
            assert type(models.build({'type': f'mmgcvit.{network.__name__}', 'arch': arch})) is network, scope


@pytest.mark.slow
def test_what_the_package_registers_is_found_without_an_import_and_importing_it_imports_no_more_than_it_needs():
    names = {registry: [f'mmgcvit.{name}' for name in found] for registry, found in REGISTERED.items()}
    code = f"""
import sys
from mmpretrain.registry import MODELS
import mmengine.registry as root
print(type(MODELS.build(dict(type='mmgcvit.GCViT', arch='xxtiny'))).__name__)
print([name for registry, names in {names}.items() for name in names if getattr(root, registry).get(name) is None])
"""
    ended = run([sys.executable, '-c', code])
    assert {'GCViT', '[]'} <= {*ended.stdout.splitlines()}, ended.stderr
    code = f'import sys, mmgcvit; print(sorted(set({NEEDED_BY_NO_BACKBONE}) & set(sys.modules)))'
    ended = run([sys.executable, '-c', code])
    assert ended.stdout.splitlines()[-1] == '[]', ended.stderr


def test_module_paths_of_earlier_versions_name_the_new_one_in_a_line():
    moved = {
        'gcvit': 'models.gcvit',
        'cli.options': 'commands',
        'data_checks': 'datasets.checks',
        'operators': 'hosts.',
    }
    for old, new in moved.items():
        with pytest.raises(
            ModuleNotFoundError, match=rf'^mmgcvit\.{re.escape(old)[:4]}.* has moved: import mmgcvit\.{new}'
        ):
            import_module(f'mmgcvit.{old}')
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'mmgcvit\.never'"):
        import_module('mmgcvit.never')


def batch_of(*pixels, **more):
    samples = [BaseDataElement(metainfo={'img_path': f'{index}.jpg'}) for index in range(len(pixels))]
    return {'inputs': [torch.tensor(values) for values in pixels], 'data_samples': samples, **more}


def test_images_of_a_batch_are_named_and_those_that_are_not_finite_are_the_suspects():
    batch = batch_of([0.0, 1.0], [float('nan'), 1.0], [0.0, float('-inf')])
    for inputs in (batch['inputs'], torch.stack(batch['inputs'])):
        assert suspects({**batch, 'inputs': inputs}) == ['1.jpg', '2.jpg']
    assert names_of(batch) == ['0.jpg', '1.jpg', '2.jpg']
    assert suspects(batch_of([0, 255], [3, 4])) == ['0.jpg', '1.jpg'], 'where all are finite all are'
    assert suspects({'data_samples': batch['data_samples'][:2]}) == ['0.jpg', '1.jpg'], 'where there are no pixels too'
    unnamed = [BaseDataElement(metainfo=info) for info in ({'sample_idx': 7}, {'img_path': None, 'sample_idx': 8})]
    assert names_of({'data_samples': unnamed}) == ['number 7 of the data set', 'number 8 of the data set']
    for other in (None, [], torch.ones(2), {}, {'data_samples': None}, {'data_samples': {'a': []}}):
        assert suspects(other) == names_of(other) == []


RATE, DECAY = 1e-3, 0.9
CONSTRUCTORS = {
    'mask_rcnn_gcvit_t': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'upernet_gcvit_t': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'gcvit_xxt_in1k': 'mmpretrain.LearningRateDecayOptimWrapperConstructor',
}


def model_of(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model), cfg


@pytest.mark.parametrize('name', CONSTRUCTORS)
def test_blocks_learn_the_slower_the_earlier_they_are(name):
    model, _ = model_of(name)
    settings = {
        'optimizer': {'type': 'AdamW', 'lr': RATE, 'weight_decay': 0.05},
        'constructor': CONSTRUCTORS[name],
        'paramwise_cfg': {'layer_decay_rate': DECAY, 'norm_decay_mult': 0.0},
    }
    groups = build_optim_wrapper(model, settings).optimizer.param_groups
    rates = {group['param_name']: group['lr'] for group in groups}
    assert len(rates) == len(list(model.parameters()))
    num_blocks = [len(stage.blocks) for stage in model.backbone.stages]
    for parameter, blocks_behind in (
        ('stem.proj.weight', sum(num_blocks) + 1),
        ('stages.0.blocks.1.mlp.fc1.weight', sum(num_blocks) - 1),
        ('stages.3.blocks.1.mlp.fc1.weight', num_blocks[3] - 1),
    ):
        assert rates[f'backbone.{parameter}'] == pytest.approx(RATE * DECAY**blocks_behind)
    assert {rate for parameter, rate in rates.items() if not parameter.startswith('backbone.')} == {RATE}


def test_multipliers_that_would_have_no_effect_are_refused():
    model, cfg = model_of('dino_gcvit_t_12e')
    cfg.optim_wrapper.constructor = 'mmgcvit.LayerDecayOptimWrapperConstructor'
    with pytest.raises(ValueError, match='lr_mult of backbone'):
        build_optim_wrapper(model, cfg.optim_wrapper)
