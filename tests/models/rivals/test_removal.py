"""Without ``mmgcvit/models/rivals`` and ``configs/ablations`` all else works, and nothing else needs them."""

import ast
import os
import shutil
import sys

import pytest

from ...conftest import ROOT
from ...programs import last_of, run

FOLDERS = ('mmgcvit', 'configs', 'tools', 'tests')
OTHERS = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob('*.py'))
    if 'ablations' not in path.relative_to(ROOT).parts
]
# Imports every part of the package and builds every config's backbone; says how many there were. The door to
# transformers is left out, which is not in the environment.
EVERYTHING = """
import importlib, pathlib, pkgutil, sys
import torch
from mmengine.config import Config
from tests.configs.models import MODELS, RatesAreNumbers, import_modules_from_strings, init_default_scope
import mmgcvit

root = pathlib.Path.cwd()
assert pathlib.Path(mmgcvit.__file__).is_relative_to(root), mmgcvit.__file__
modules = [module.name for module in pkgutil.walk_packages(mmgcvit.__path__, 'mmgcvit.')]
modules.remove('mmgcvit.integrations.transformers')
for name in modules:
    importlib.import_module(name)
configs = [path for path in root.glob('configs/**/*.py') if '_base_' not in path.parts]
for path in configs:
    cfg = Config.fromfile(path)
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'), RatesAreNumbers():
        MODELS.build(cfg.model.backbone)
assert not [name for name in sys.modules if name.startswith('mmgcvit.models.rivals')]
print('built', len(modules), len(configs))
"""


@pytest.fixture(scope='module')
def without(tmp_path_factory):
    """A copy of the project that never had them."""
    copy = tmp_path_factory.mktemp('without') / 'mmgcvit'
    for path in [*OTHERS, *ROOT.glob('configs/metafiles/*.yml'), ROOT / 'model-index.yml', ROOT / 'pyproject.toml']:
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return copy


def run_in(folder, *command):
    environment = os.environ | {'PYTHONPATH': str(folder), 'CUDA_VISIBLE_DEVICES': '-1'}
    return run([sys.executable, *command], environment, cwd=folder)


@pytest.mark.slow
def test_every_other_module_imports_and_every_other_backbone_builds(without):
    """In a process of its own."""
    ended = run_in(without, '-c', EVERYTHING)
    assert ended.returncode == 0, last_of(ended.stdout, ended.stderr)
    paths = [path.relative_to(ROOT) for path in OTHERS if '_base_' not in path.parts]
    modules, configs = ([path for path in paths if path.parts[0] == folder] for folder in ('mmgcvit', 'configs'))
    assert (
        ended.stdout.splitlines()[-1] == f'built {len(modules) - 2} {len(configs)}'
    )  # less mmgcvit itself and the door


@pytest.mark.slow
@pytest.mark.parametrize(
    'command',
    [
        ('-m', 'mmgcvit', 'flops', 'configs/gcvit_xxt_in1k.py', '--shape', '224', '224'),
        ('-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/test_imports.py'),
    ],
    ids=lambda command: command[-1].rpartition('/')[2],
)
def test_a_command_and_the_test_of_imports_work(without, command):
    ended = run_in(without, *command)
    assert ended.returncode == 0, last_of(ended.stdout, ended.stderr)


def names_in(path):
    """What a file imports, as far as it says so; and, of a config, all texts behind its head."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.name for alias in node.names)
            yield getattr(node, 'module', None) or ''
    if path.is_relative_to(ROOT / 'configs'):
        for statement in tree.body[1:]:
            yield from (str(node.value) for node in ast.walk(statement) if isinstance(node, ast.Constant))


def test_nothing_else_imports_or_names_them():
    """No module, command or test, and no config as its base, import, network or weights."""
    assert len(OTHERS) > 200
    assert [path for path in OTHERS if any('ablations' in name.split('.') for name in names_in(path))] == []
    configs = [path for path in OTHERS if path.is_relative_to(ROOT / 'configs')]
    assert [path for path in configs if any('ablations' in name for name in names_in(path))] == []
