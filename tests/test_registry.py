"""Registries of every OpenMMLab package find this package's classes.

Importing it changes no other global state.
"""

import sys

import pytest

from .programs import run

PACKAGES = ['mmdet', 'mmseg', 'mmpretrain']
HEAVY = ['torch', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'packaging', 'timm']
HEAVY += ['transformers', 'huggingface_hub']
NEEDED_BY_NO_BACKBONE = ['mmgcvit.engine', 'mmgcvit.fixes.mmdet', 'mmgcvit.commands']
NEEDED_BY_NO_BACKBONE += ['mmcv.ops', 'timm', *PACKAGES]
REGISTERED = {
    'MODELS': ['GCViT', 'LSA'],
    'DATASETS': ['ImageNetV2', 'PairedSegDataset'],
    'OPTIM_WRAPPERS': ['AutoPrecisionOptimWrapper'],
    'OPTIM_WRAPPER_CONSTRUCTORS': ['GroupedParamsOptimWrapperConstructor'],
    'TRANSFORMS': ['SkipUnreadable'],
    'HOOKS': [
        'AtomicCheckpointHook',
        'CompileBackboneHook',
        'ExactResumeHook',
        'PatienceHook',
        'SafeLoadHook',
        'SkipNonFiniteStepHook',
        'ValLossHook',
        'ValVisualizationHook',
    ],
    'LOOPS': ['EpochBasedTrainLoop', 'IterBasedTrainLoop', 'TiledTestLoop', 'TiledValLoop'],
}
# Run each code string in a process forked from one that has imported torch and mmengine, but no
# other OpenMMLab package and nothing of this package.
FORKED = """
import os, sys
import mmengine.runner
for code in sys.argv[1:]:
    if os.fork() == 0:
        exec(code, {})
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


# First imports of a process, by scope: mmgcvit before or after the OpenMMLab package, or only by
# custom_imports.
FIRST_IMPORTS = {
    'mmengine.registry': '',
    'mmdet.registry': 'import mmgcvit; import mmdet.registry',
    'mmseg.registry': 'from mmgcvit import GCViT; import mmseg.registry',
    'mmpretrain.registry': (
        'import mmengine.runner, mmpretrain.registry; Config.fromfile("config.py")'
    ),
}
LOOKUP = """
from importlib import import_module
import mmengine.registry
from mmengine.config import Config
{first_import}
scope = import_module({scope!r})
missing = []
for registry, names in {names}:
    # A package without this registry uses mmengine's.
    registry = getattr(scope, registry, getattr(mmengine.registry, registry))
    missing += [name for name in names if registry.get('mmgcvit.' + name) is None]
print(missing, type(scope.MODELS.build(dict(type='mmgcvit.GCViT', arch='xxtiny'))).__name__)"""


@pytest.mark.long
def test_registered_classes_are_found_in_every_scope_of_a_fresh_process_and_listed_in_a_fixed_order(
    tmp_path,
):
    (tmp_path / 'config.py').write_text(
        "custom_imports = dict(imports=['mmgcvit'], allow_failed_imports=False)"
    )
    codes = [
        LOOKUP.format(first_import=line, scope=scope, names=[*REGISTERED.items()])
        for scope, line in FIRST_IMPORTS.items()
    ]
    order = 'from mmgcvit.registry import list_networks; print([*list_networks()][:2])'
    expected = ['[] GCViT'] * len(codes) + ["['GCViT', 'LSA']"] * 2
    codes += [order, f'from mmgcvit import LSA; {order}']
    ended = run(
        [sys.executable, '-c', FORKED, *(f'{code}; print("end")' for code in codes)], cwd=tmp_path
    )
    assert [output.splitlines()[-1] for output in ended.stdout.split('\nend\n')[:-1]] == expected, (
        ended.stderr
    )


@pytest.mark.slow
def test_importing_the_package_is_lazy_and_emits_no_warnings():
    code = f"""
import sys, mmgcvit
before = set(sys.modules)
print({{'GCViT', 'load'}} <= {{*dir(mmgcvit)}})
print(sorted(before.intersection({HEAVY})))
from mmgcvit import LSA, GCViT
from mmengine.registry import MODELS
MODELS.build(dict(type='mmgcvit.GCViT', arch='xxtiny'))
print(sorted(set(sys.modules).intersection({NEEDED_BY_NO_BACKBONE})))
"""
    ended = run([sys.executable, '-c', code])
    assert ended.stdout.splitlines()[-3:] == ['True', '[]', '[]'], ended.stderr
    ended = run([sys.executable, '-W', 'error', '-c', 'import mmgcvit'])
    assert (ended.returncode, ended.stderr) == (0, '')


@pytest.mark.slow
def test_missing_mmcv_is_reported_by_import_and_by_command():
    sentence = 'mmgcvit needs mmcv, which is not installed. '
    code = """
import sys
sys.modules['mmcv'] = None
import mmgcvit
from mmgcvit.commands.main import run_command
try:
    from mmgcvit import GCViT
except ImportError as error:
    print(type(error).__name__, error)
"""
    ended = run([sys.executable, '-c', f'{code}run_command("train", ["configs/gcvit_t_in1k.py"])'])
    assert ended.stdout.startswith(f'MissingPackageError {sentence}')
    assert ended.stderr.startswith(f'train: {sentence}')


STATES = """
import logging, os, random, sys, warnings
import scipy.special, timm, torch, torch._dynamo
import mmcv.cnn, mmcv.transforms, mmdet.registry, mmengine.registry
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import CheckpointLoader

def states():
    loggers = {'root': logging.root, 'mmengine': MMLogger.get_current_instance()}
    loggers |= logging.Logger.manager.loggerDict
    registries = [each for host in (mmengine, mmdet) for each in vars(host.registry).values()]
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return dict(
        finders=[x for x in sys.meta_path if 'mmgcvit' not in str(getattr(x, '__module__', ''))],
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
            torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled(),
            torch.is_grad_enabled(), cuda.matmul.allow_tf32, cuda.flash_sdp_enabled(),
            cuda.math_sdp_enabled(), cuda.mem_efficient_sdp_enabled(),
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
print('changed:', {x: (before[x], after[x]) for x in before if before[x] != after[x]})
"""


@pytest.mark.long
def test_import_and_backbone_leave_global_state_of_the_process_unchanged():
    ended = run([sys.executable, '-c', STATES + BUILD])
    assert ended.stdout.splitlines()[-1:] == ['changed: {}'], ended.stdout + ended.stderr
