"""The wall: a library, and an application for pictures of one's own on it. Imports go one way.

They are read from the source code.

Modules: `mmgcvit`.
"""

import ast
import re
import sys
from argparse import ArgumentParser
from importlib import import_module
from importlib.util import resolve_name

import pytest

from mmgcvit.commands.main import COMMANDS

from .programs import ROOT, run

PACKAGE = ROOT / 'mmgcvit'
APPLICATION = ('own', 'commands')
# They only name what others have: the package's own names, and the entry point.
DOORS = ('__init__', '__main__')
# Old names, which configs of runs have.
ALIASES = ('mmdet_fixes', 'mmseg_fixes')
# Rooms from bottom to top, by the rows of the table; each imports only those listed before it.
PAGE = (ROOT / 'docs' / 'how_it_fits_together.md').read_text()
TABLE = PAGE.partition('| room | what lives there |\n|---|---|\n')[2].partition('\n\n')[0]
ROOMS = [re.match(r'\| `([a-z_]+)', row)[1] for row in TABLE.splitlines()]
FILES = sorted(PACKAGE.rglob('*.py'))


def find_room(file):
    return file.relative_to(PACKAGE).with_suffix('').parts[0]


LIBRARY = [file for file in FILES if find_room(file) not in (*APPLICATION, *DOORS)]


def list_imports(file):
    """Return the dotted names that a file imports; ours begin with 'mmgcvit'."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return [name for node in nodes for name in list_imports_of(node, file)]


def list_imports_of(node, file):
    """Return the dotted names that a statement of a file imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = '.'.join(file.relative_to(ROOT).parent.parts)
        base = resolve_name('.' * node.level + (node.module or ''), package)
        return [f'{base}.{alias.name}' for alias in node.names]
    return []


def list_options():
    """Return the options of all commands."""
    options = set()
    for command in COMMANDS:
        parser = ArgumentParser()
        import_module(f'mmgcvit.commands.{command.replace("-", "_")}').add_options(parser)
        options.update(word for action in parser._actions for word in action.option_strings)
    return options


OPTIONS = list_options()


def list_texts(file):
    """Return the strings in the code of a file that are no docstrings."""
    tree = ast.parse(file.read_text())
    docstrings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
    ]


def test_a_room_imports_only_those_before_it():
    for file in FILES:
        room = find_room(file)
        if room in (*DOORS, *ALIASES):
            continue
        for name in list_imports(file):
            if name.startswith('mmgcvit.'):
                assert ROOMS.index(name.split('.')[1]) <= ROOMS.index(room), (file, name)


@pytest.mark.parametrize('file', LIBRARY, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_library_knows_nothing_of_the_application(file):
    """It neither imports it nor tells a user of its options. The registry has the one name of it:
    where mmengine finds a hook of the configs.
    """
    for name in list_imports(file):
        assert not name.startswith(tuple(f'mmgcvit.{room}' for room in APPLICATION))
    for text in list_texts(file):
        assert not OPTIONS.intersection(re.findall(r'(?<![\w-])--[\w-]+', text)), text
        if file.name != 'registry.py':
            assert 'mmgcvit.own' not in text


def test_models_import_torch_mmengine_the_registry_errors_and_tables_of_keys():
    """Only the functions that read weights import the readers of checkpoints."""
    allowed = (
        *('torch.', 'mmengine.model.', 'mmgcvit.models.', 'mmgcvit.registry.', 'mmgcvit.errors.'),
        'mmgcvit.checkpoints.translating.',
    )
    for file in (PACKAGE / 'models').rglob('*.py'):
        tree = ast.parse(file.read_text())
        at_start = [name for node in tree.body for name in list_imports_of(node, file)]
        for name in list_imports(file):
            is_reader = file.name == 'pretrained.py' and name.startswith('mmgcvit.checkpoints.')
            is_of_python = name.split('.')[0] in sys.stdlib_module_names
            is_allowed = f'{name}.'.startswith(allowed) or is_of_python
            assert is_allowed or (is_reader and name not in at_start), (file, name)


FOLDERS = {path.parent.name for path in (PACKAGE / 'models').glob('*/__init__.py')}
NETWORKS = sorted(FOLDERS - {'layers', 'ablations'})


@pytest.mark.parametrize('folder', ['layers', *NETWORKS])
def test_layers_import_no_network_and_networks_do_not_import_each_other(folder):
    rejected = tuple(f'mmgcvit.models.{name}.' for name in FOLDERS - {folder, 'layers'})
    for file in (PACKAGE / 'models' / folder).glob('*.py'):
        for name in list_imports(file):
            assert not name.startswith(rejected), file


def test_no_other_room_imports_a_network():
    """A new network needs only its folder, its registration and its name in ``models``."""
    networks = tuple(f'mmgcvit.models.{name}.' for name in (*NETWORKS, 'ablations'))
    for file in FILES:
        if find_room(file) not in ('models', *DOORS):
            for name in list_imports(file):
                assert not name.startswith(networks), (file, name)


def test_the_library_knows_nothing_of_what_the_application_notes_in_configs():
    """But for ``runs/folder.py``, which reads the note."""
    for file in LIBRARY:
        if file != PACKAGE / 'runs' / 'folder.py':
            assert 'started_with' not in file.read_text().lower(), file


def test_every_room_has_a_docstring_and_a_place_in_the_table():
    rooms = {path.stem for path in PACKAGE.glob('*.py')} - {*DOORS, *ALIASES}
    for file in PACKAGE.glob('*/__init__.py'):
        rooms.add(file.parent.name)
        assert len(ast.get_docstring(ast.parse(file.read_text()))) > 100, file
    assert rooms == set(ROOMS)
    assert {path.stem for path in PACKAGE.glob('*.py')} == {
        *('registry', 'errors', 'version'),
        *(*DOORS, *ALIASES),
    }


def test_files_that_docstrings_and_comments_of_the_package_name_exist():
    paths = [f'/{path.relative_to(ROOT)}' for path in ROOT.glob('[!.]*/**/*.py')]
    for file in FILES:
        for name in re.findall(r'(?<![\w/.*{])\w[\w/]*\.py\b', file.read_text()):
            assert any(path.endswith(f'/{name}') for path in paths), (file, name)


def test_an_import_on_windows_names_wsl():
    code = "import sys; sys.platform = 'win32'; import mmgcvit"
    ended = run([sys.executable, '-c', code])
    assert ended.stderr.splitlines()[-1].startswith('ImportError: mmgcvit runs on Linux and macOS.')
    assert 'WSL 2' in ended.stderr
