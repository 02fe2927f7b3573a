"""Imports run one way: each subpackage imports only those before it, backbone -> stage -> attention -> layers -> torch.

Read from the source, not by importing.
"""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'mmgcvit'

# Subpackages and single files from the bottom up; each imports only what stands before it.
SUBPACKAGES = [
    *('version', 'errors', 'files', 'registry', 'on_demand', 'ops', 'config', 'device'),
    *('mmengine_utils', 'detection', 'checkpoints', 'models', 'datasets', 'engine'),
    *('inference', 'visualization', 'export', 'web', 'integrations', 'experiments', 'commands', '__init__', '__main__'),
]
# What networks and what must be copied stand on, beside the standard library.
LIBRARIES = {
    'version': set(),
    'errors': set(),
    'models': {'torch', 'mmcv', 'mmengine'},
    'checkpoints': {'torch', 'mmengine', 'numpy', 'filelock', 'safetensors', 'timm', 'huggingface_hub'},
}
FILES_DOWNWARD = {
    'gcvit': ['__init__', 'backbone', 'stage', 'attention', 'global_query', 'convs', 'archs', 'key_mappings'],
    'lsa': ['__init__', 'backbone', 'stage', 'attention', 'shifted_patches', 'archs', 'key_mappings'],
    'layers': [
        *('__init__', 'attention', 'trained_bias', 'blocks', 'cpu', 'position', 'resizing', 'windows'),
        *('tracing', 'arguments'),
    ],
    'ablations': ['__init__', 'gcvit_variants', 'lsa_first_block'],
}
FILES = sorted(PACKAGE.rglob('*.py'))
NETWORKS = sorted({path.parent.name for path in (PACKAGE / 'models').glob('*/__init__.py')} - {'layers', 'ablations'})


def imports_of(file):
    """What a file imports, as dotted names; those of the package begin with 'mmgcvit'."""
    package = ('mmgcvit', *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = [*base, *filter(None, [node.module])]
            if node.level and node.module is None:
                yield from ('.'.join([*module, alias.name]) for alias in node.names)
            else:
                yield '.'.join(module)


def place_of(file):
    """The folder or file of the package that a file belongs to."""
    return file.relative_to(PACKAGE).with_suffix('').parts[0]


def test_a_room_imports_only_rooms_below_it():
    wrong = [
        f'{file.relative_to(PACKAGE)} imports {name}'
        for file in FILES
        for name in imports_of(file)
        if name.split('.')[0] == 'mmgcvit' and SUBPACKAGES.index(name.split('.')[1]) > SUBPACKAGES.index(place_of(file))
    ]
    assert not wrong


def test_networks_and_checkpoints_import_few_libraries():
    wrong = [
        f'{file.relative_to(PACKAGE)} imports {name}'
        for file in FILES
        for name in imports_of(file)
        if place_of(file) in LIBRARIES
        and name.split('.')[0] not in {'mmgcvit', *sys.stdlib_module_names, *LIBRARIES[place_of(file)]}
    ]
    assert not wrong


@pytest.mark.parametrize('folder', FILES_DOWNWARD)
def test_a_file_of_a_network_imports_only_files_below_it(folder):
    order = FILES_DOWNWARD[folder]
    for file in (PACKAGE / 'models' / folder).glob('*.py'):
        for name in imports_of(file):
            place = f'mmgcvit.models.{folder}.'
            if name.startswith(place):
                below = name.removeprefix(place).split('.')[0]
                assert order.index(file.stem) < order.index(below), f'{file.stem} must not import {below}'


def test_layers_know_no_network_and_networks_not_each_other():
    for folder in ('layers', *NETWORKS):
        others = {*NETWORKS, 'ablations'} - {folder}
        for file in (PACKAGE / 'models' / folder).glob('*.py'):
            for name in imports_of(file):
                assert not name.startswith(tuple(f'mmgcvit.models.{other}' for other in others)), file


def test_every_subpackage_says_what_lives_there_what_may_import_it_and_where_to_begin():
    folders = {file.parent for file in FILES if file.name == '__init__.py' and file.parent.parent == PACKAGE}
    assert {folder.name for folder in folders} | {path.stem for path in PACKAGE.glob('*.py')} == set(SUBPACKAGES)
    for folder in folders:
        assert len(ast.get_docstring(ast.parse((folder / '__init__.py').read_text()))) > 100, folder


def test_only_a_networks_layouts_know_checkpoints():
    """So that a network's own files need nothing but layers."""
    for folder in NETWORKS:
        for file in sorted((PACKAGE / 'models' / folder).glob('*.py')):
            knows = any(name.startswith('mmgcvit.checkpoints') for name in imports_of(file))
            assert knows == (file.stem == 'key_mappings')


def test_a_third_network_is_its_folder_and_one_registration():
    """Outside of ``models`` and of the package's front, no file imports a network."""
    for file in FILES:
        if place_of(file) not in ('models', '__init__'):
            networks = tuple(f'mmgcvit.models.{network}' for network in (*NETWORKS, 'ablations'))
            assert not any(name.startswith(networks) for name in imports_of(file)), file
