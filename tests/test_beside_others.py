"""Importing the package and building a backbone does not change global state that other projects use."""

import sys

import pytest

from .programs import run

STATES = """
import logging, os, random, sys, warnings
import scipy.special, timm, torch, torch._dynamo
import mmcv.cnn, mmcv.transforms, mmdet.registry, mmengine.registry
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import CheckpointLoader

def states():
    loggers = {'root': logging.root, 'mmengine': MMLogger.get_current_instance(), **logging.Logger.manager.loggerDict}
    registries = [each for host in (mmengine, mmdet) for each in vars(host.registry).values()]
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return dict(
        finders=[each for each in sys.meta_path if 'mmgcvit' not in str(getattr(each, '__module__', ''))],
        loaders=dict(CheckpointLoader._schemes),
        loggers={name: (each.level, [*each.handlers], [*each.filters], each.propagate)
            for name, each in loggers.items() if isinstance(each, logging.Logger)},
        warnings=[*warnings.filters],
        environment=dict(os.environ),
        path=[*sys.path],
        hooks=(sys.excepthook, sys.displayhook, sys.unraisablehook, warnings.showwarning),
        scope=DefaultScope.get_current_instance(),
        registered=[dict(each.module_dict) for each in registries if isinstance(each, Registry)],
        settings=(torch.get_default_dtype(), torch.get_num_threads(),
            torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(),
            cuda.matmul.allow_tf32, cuda.flash_sdp_enabled(), cuda.math_sdp_enabled(), cuda.mem_efficient_sdp_enabled(),
            getattr(cuda, 'cudnn_sdp_enabled', bool)(),
            cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        seeds=(random.getstate(), torch.initial_seed()),
    )
"""
BUILD = """
before = states()
import mmgcvit
backbone = mmgcvit.GCViT('xxtiny')
backbone.init_weights()
backbone(torch.rand(1, 3, 64, 64)), mmgcvit.LSA('imagenet-tiny')
after = states()
print('changed:', {name: (before[name], after[name]) for name in before if before[name] != after[name]})
"""


@pytest.mark.long
def test_import_and_backbone_leave_global_state_of_the_process_unchanged():
    ended = run([sys.executable, '-c', STATES + BUILD])
    assert ended.stdout.splitlines()[-1:] == ['changed: {}'], ended.stdout + ended.stderr
