"""Imports have one direction: each subpackage imports only lower ones.

They are read from the source code.

Modules: `mmgcvit`.
"""

import ast
import re
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

from .programs import run

PACKAGE = Path(__file__).parent.parent / 'mmgcvit'

CONTRIBUTING = (PACKAGE.parent / 'docs' / 'contributing.md').read_text()
# Subpackages and modules from bottom to top, by the rows of the table; each imports only those
# listed before it.
TABLE = CONTRIBUTING.partition('| folder | what lives there |\n|---|---|\n')[2].partition('\n\n')[0]
ROWS = [re.findall(r'`([a-z_]+)(?:\.py)?`', row.split('|')[1]) for row in TABLE.splitlines()]
SUBPACKAGES = [name for row in ROWS for name in row] + ['__init__', '__main__']
FOLDERS = {path.parent.name for path in (PACKAGE / 'models').glob('*/__init__.py')}
NETWORKS = sorted(FOLDERS - {'layers', 'ablations'})
NETWORK_MODULES = tuple(f'mmgcvit.models.{name}.' for name in (*NETWORKS, 'ablations'))


def list_imports(file, list_nodes=ast.walk):
    """Return the dotted names that a file imports; those of this package start with 'mmgcvit'.

    ``list_nodes`` returns the parts of a file to search, by default all.
    """
    package = '.'.join(file.relative_to(PACKAGE.parent).parent.parts)
    imports = []
    for node in list_nodes(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name('.' * node.level + (node.module or ''), package)
            imports += [f'{base}.{alias.name}' for alias in node.names]
    return imports


IMPORTS = {file: list_imports(file) for file in sorted(PACKAGE.rglob('*.py'))}


def test_subpackage_imports_only_subpackages_below_it():
    for file, names in IMPORTS.items():
        subpackage = file.relative_to(PACKAGE).with_suffix('').parts[0]
        height = SUBPACKAGES.index(subpackage)
        for name in names:
            if name.startswith('mmgcvit.'):
                assert SUBPACKAGES.index(name.split('.')[1]) <= height, (file, name)
            # A new network then needs only its folder, its registration and its name here.
            if subpackage not in ('models', '__init__'):
                assert not name.startswith(NETWORK_MODULES)


# What the networks are made of, beside Python's standard library.
NEEDED = (
    'torch.',
    'mmengine.model.',
    'mmgcvit.registry.',
    'mmgcvit.errors.',
    'mmgcvit.checkpoints.translating.',
    'mmgcvit.models.',
)


def test_networks_import_torch_a_base_module_and_tables_of_keys_only():
    """Readers of checkpoints are imported where weights are loaded, so that whoever loads none
    imports none.
    """
    for file in (PACKAGE / 'models').rglob('*.py'):
        at_start = list_imports(file, ast.iter_child_nodes)
        for name in IMPORTS[file]:
            allowed = NEEDED
            if file.name == 'pretrained.py' and name not in at_start:
                allowed += ('mmgcvit.checkpoints.',)
            is_standard = name.split('.')[0] in sys.stdlib_module_names
            assert is_standard or f'{name}.'.startswith(allowed), (file, name)


@pytest.mark.parametrize('folder', ['layers', *NETWORKS])
def test_layers_import_no_network_and_networks_do_not_import_each_other(folder):
    rejected = tuple(f'mmgcvit.models.{name}.' for name in FOLDERS - {folder, 'layers'})
    for file in (PACKAGE / 'models' / folder).glob('*.py'):
        for name in IMPORTS[file]:
            assert not name.startswith(rejected), file


def test_every_subpackage_has_a_docstring_and_a_place_in_the_table():
    names = {path.stem for path in PACKAGE.glob('*.py')}
    for file in PACKAGE.glob('*/__init__.py'):
        names.add(file.parent.name)
        assert len(ast.get_docstring(ast.parse(file.read_text()))) > 100, file
    assert names == set(SUBPACKAGES)


def test_files_that_docstrings_and_comments_of_the_package_name_exist():
    paths = [
        f'/{path.relative_to(PACKAGE.parent)}' for path in PACKAGE.parent.glob('[!.]*/**/*.py')
    ]
    for file in IMPORTS:
        for name in re.findall(r'(?<![\w/.*{])\w[\w/]*\.py\b', file.read_text()):
            assert any(path.endswith(f'/{name}') for path in paths), (file, name)


def test_an_import_on_windows_names_wsl():
    code = "import sys; sys.platform = 'win32'; import mmgcvit"
    ended = run([sys.executable, '-c', code])
    assert ended.stderr.splitlines()[-1].startswith('ImportError: mmgcvit runs on Linux and macOS.')
    assert 'WSL 2' in ended.stderr
