"""The backbone is found from every host's registry, with and without an import of this package."""

import sys
from importlib import import_module

import pytest

import mmgcvit

from ..programs import run

SCOPES = ['mmengine', 'mmdet', 'mmseg', 'mmpretrain']
BACKBONE = {'type': 'mmgcvit.GCViT', 'arch': 'xxtiny'}
BACKBONES = {mmgcvit.GCViT: BACKBONE, mmgcvit.LSA: {'type': 'mmgcvit.LSA', 'arch': 'imagenet-tiny'}}


@pytest.mark.parametrize('network', BACKBONES)
@pytest.mark.parametrize('scope', SCOPES)
def test_the_backbone_builds_in_every_scope(scope, network):
    models = import_module(f'{scope}.registry').MODELS
    assert type(models.build(BACKBONES[network].copy())) is network


@pytest.mark.slow
@pytest.mark.parametrize('scope', SCOPES)
def test_a_host_finds_the_backbone_without_an_import(scope):
    code = f'from {scope}.registry import MODELS; print(type(MODELS.build({BACKBONE})).__name__)'
    ended = run([sys.executable, '-c', code])
    assert ended.stdout.split()[-1:] == ['GCViT'], ended.stderr


NEEDED_BY_NO_BACKBONE = ['mmgcvit.engine', 'mmgcvit.hosts.mmdet', 'mmgcvit.commands', 'mmcv.ops', 'timm', *SCOPES[1:]]


@pytest.mark.slow
def test_importing_the_backbones_imports_nothing_that_they_do_not_need():
    code = f'import sys, mmgcvit; print(sorted(set({NEEDED_BY_NO_BACKBONE}) & set(sys.modules)))'
    ended = run([sys.executable, '-c', code])
    assert ended.stdout.splitlines()[-1] == '[]', ended.stderr


FOUND_BY_SCOPE = {
    'MODELS': ['mmgcvit.RPNHead', 'mmgcvit.SingleRoIExtractor', 'mmgcvit.DINO', 'mmgcvit.InstanceTTAModel'],
    'DATASETS': ['mmgcvit.ImageNetV2'],
    'OPTIM_WRAPPERS': ['mmgcvit.AutoPrecisionOptimWrapper'],
    'OPTIM_WRAPPER_CONSTRUCTORS': ['mmgcvit.LayerDecayOptimWrapperConstructor'],
    'STRATEGIES': ['mmgcvit.FSDPStrategy'],
    'FUNCTIONS': ['mmgcvit.wrap_blocks'],
    'TASK_UTILS': ['mmgcvit.HungarianAssigner'],
    'TRANSFORMS': ['mmgcvit.LoadReadable', 'mmgcvit.MatchAnnotatedSize'],
    'HOOKS': [
        'mmgcvit.DryRunObserver',
        'mmgcvit.EndEarlyHook',
        'mmgcvit.ExactResumeHook',
        'mmgcvit.FiniteCheckpointsHook',
        'mmgcvit.FinitePredictionsHook',
        'mmgcvit.FiniteStepsHook',
        'mmgcvit.TF32Hook',
        'mmgcvit.WholeCheckpointHook',
    ],
    'LOOPS': ['mmgcvit.EpochBasedTrainLoop', 'mmgcvit.IterBasedTrainLoop'],
}


@pytest.mark.slow
def test_what_the_package_registers_is_found_by_its_scope_without_an_import():
    lookup = 'print([root.{}.get(kind) is None for kind in {}])'
    lookups = '; '.join(lookup.format(*registry) for registry in FOUND_BY_SCOPE.items())
    code = f'import mmengine.registry as root; {lookups}'
    ended = run([sys.executable, '-c', code])
    expected = [str([False] * len(kinds)) for kinds in FOUND_BY_SCOPE.values()]
    assert [line for line in ended.stdout.splitlines() if line.startswith('[')] == expected, ended.stderr
