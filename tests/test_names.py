"""Each test file is found by the name of its module, and no test file imports another one.

`tests/FOLDER/test_MODULE.py` tests `mmgcvit/FOLDER/MODULE.py`, or the subpackage of this name, and
so does `test_MODULE_SUBJECT.py`. Tests of tools and pages are named after the file in `tools` or
`docs`. A file that holds a promise across modules lists these at the end of its docstring.

Modules: `tests`.
"""

import ast
import re
from importlib.util import resolve_name
from pathlib import Path

import pytest

from .programs import ROOT

TESTS = ROOT / 'tests'
FILES = sorted(path.relative_to(ROOT) for path in TESTS.rglob('test_*.py'))


def list_named_modules(file: Path) -> list[Path]:
    """Return the files and folders that a test file's name may mean: those that exist."""
    folder = file.parent.relative_to('tests')
    words = file.stem.removeprefix('test_').split('_')
    found = []
    for root in (ROOT / 'mmgcvit' / folder, ROOT / folder):
        for number in range(1, len(words) + 1):
            name = '_'.join(words[:number])
            found += [path for path in root.glob(f'{name}*') if path.name.split('.')[0] == name]
    return [path for path in found if not path.is_relative_to(TESTS)]


def list_modules_of_docstring(text: str) -> list[str]:
    """Return the files and folders that a docstring lists in its last paragraph."""
    last = (ast.get_docstring(ast.parse(text)) or '').split('\n\n')[-1]
    return re.findall(r'`([^`]+)`', last) if last.startswith('Modules: ') else []


def list_imports(file: Path) -> list[str]:
    """Return the dotted names that a file imports."""
    package = '.'.join(file.parent.parts)
    names = []
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name('.' * node.level + (node.module or ''), package)
            names += [f'{base}.{alias.name}' for alias in node.names]
    return names


@pytest.mark.parametrize('file', FILES, ids=str)
def test_a_test_file_is_named_after_its_module_or_lists_its_modules(file):
    listed = list_modules_of_docstring((ROOT / file).read_text())
    missing = [name for name in listed if not (ROOT / name).exists()]
    assert not missing, f'{file} lists modules that do not exist'
    assert listed or list_named_modules(file), (
        f'{file}: call it test_MODULE.py in the folder of its module, or end its docstring with a '
        'paragraph such as "Modules: `mmgcvit/runs/folder.py`, `mmgcvit/commands`."'
    )


def test_no_file_imports_a_test_file():
    """Helpers are in files that are no tests, so that a test file can be moved or removed."""
    modules = {'.'.join(file.with_suffix('').parts) for file in FILES}
    for path in sorted(TESTS.rglob('*.py')):
        names = list_imports(path.relative_to(ROOT))
        modules_of_names = {name.rpartition('.')[0] for name in names}
        assert not modules & {*names, *modules_of_names}, path
