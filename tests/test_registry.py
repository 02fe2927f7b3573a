"""The backbone is found from every host's registry, with and without an import of this package."""

import sys
from importlib import import_module

import pytest

import mmgcvit

from .processes import run

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
