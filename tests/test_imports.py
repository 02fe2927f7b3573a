"""Imports have one direction: each subpackage imports only lower ones.

They are read from the source code.
"""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / 'mmgcvit'

CONTRIBUTING = (PACKAGE.parent / 'docs' / 'contributing.md').read_text()
# Subpackages and modules from bottom to top, by the rows of the table; each imports only those
# listed before it.
TABLE = CONTRIBUTING.partition('| folder | what lives there |\n|---|---|\n')[2].partition('\n\n')[0]
ROWS = [re.findall(r'`([a-z_]+)(?:\.py)?`', row.split('|')[1]) for row in TABLE.splitlines()]
SUBPACKAGES = [name for row in ROWS for name in row] + ['__init__', '__main__']
FILES = sorted(PACKAGE.rglob('*.py'))
NETWORKS = sorted(
    {path.parent.name for path in (PACKAGE / 'models').glob('*/__init__.py')}
    - {'layers', 'ablations'}
)


def list_imports(file):
    """Yield the dotted names that a file imports; those of this package start with 'mmgcvit'."""
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


# Each import of each file: the file, its subpackage or top-level module, and the dotted name.
PLACES = [(file, file.relative_to(PACKAGE).with_suffix('').parts[0]) for file in FILES]
IMPORTS = [(*place, name) for place in PLACES for name in list_imports(place[0])]


def test_subpackage_imports_only_subpackages_below_it():
    for file, subpackage, name in IMPORTS:
        if name.startswith('mmgcvit.'):
            assert SUBPACKAGES.index(name.split('.')[1]) <= SUBPACKAGES.index(subpackage), (
                file,
                name,
            )


def test_layers_import_no_network_and_networks_do_not_import_each_other():
    for file, _, name in IMPORTS:
        if file.parent.parent == PACKAGE / 'models' and file.parent.name in ('layers', *NETWORKS):
            others = {*NETWORKS, 'ablations'} - {file.parent.name}
            assert not name.startswith(tuple(f'mmgcvit.models.{other}' for other in others)), file


def test_every_subpackage_has_a_docstring():
    folders = {
        file.parent
        for file in FILES
        if file.name == '__init__.py' and file.parent.parent == PACKAGE
    }
    assert {folder.name for folder in folders} | {
        path.stem for path in PACKAGE.glob('*.py')
    } == set(SUBPACKAGES)
    for folder in folders:
        assert len(ast.get_docstring(ast.parse((folder / '__init__.py').read_text()))) > 100, folder


def test_files_that_docstrings_and_comments_of_the_package_name_exist():
    paths = {
        f'/{path.relative_to(PACKAGE.parent)}' for path in PACKAGE.parent.glob('[!.]*/**/*.py')
    }
    for file in FILES:
        for name in re.findall(r'(?<![\w/.*{])\w[\w/]*\.py\b', file.read_text()):
            assert any(path.endswith(f'/{name}') for path in paths), (file, name)


def test_only_key_mappings_of_a_network_import_checkpoints():
    """A network's other files then need only layers."""
    importing = {file for file, _, name in IMPORTS if name.startswith('mmgcvit.checkpoints')}
    expected = {PACKAGE / 'models' / folder / 'key_mappings.py' for folder in NETWORKS}
    assert {file for file in importing if file.parent.name in NETWORKS} == expected


def test_only_models_and_the_top_level_import_networks():
    """A new network then needs only its folder, its registration and its name in the package's
    __init__.
    """
    networks = tuple(f'mmgcvit.models.{network}' for network in (*NETWORKS, 'ablations'))
    for file, subpackage, name in IMPORTS:
        assert subpackage in ('models', '__init__') or not name.startswith(networks), file
