"""Write ``OnnxPredictor``, with all that it uses of this package, as one file.

The file can be copied to a machine without this package::

    python -m mmgcvit.export.one_file > onnx_predictor.py

It is made of the definitions in the package's modules when the command runs. So there is no second
text of them that could differ, and the file fits the ONNX files that this version exports.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from ..version import __version__

FOLDER = Path(__file__).resolve().parent
DOCSTRING = f'''"""Run inference with an ONNX file of ``mmgcvit export``, without torch.

For example::

    from onnx_predictor import OnnxPredictor

    detections = OnnxPredictor('detector.onnx')('photo.jpg')
    print(detections.boxes, detections.scores, detections.labels)

This file needs NumPy, onnxruntime, OpenCV and Pillow. It was made of modules of mmgcvit
{__version__} (Apache License 2.0), which come one after the other.
"""'''


class Module:
    """The top-level statements of a module of this package."""

    def __init__(self, path: Path):
        text = path.read_text(encoding='utf-8')
        tree = ast.parse(text)
        self.title, *_ = (ast.get_docstring(tree) or path.stem).splitlines()
        self.own_imports: dict[str, Path] = {}  # the module of this package, by imported name
        self.statements: dict[str, ast.stmt] = {}  # the others, by the names that they define
        self.texts: dict[ast.stmt, str] = {}  # with the comments and the empty lines above
        lines = text.splitlines()
        end = 0
        for statement in tree.body:
            self.texts[statement] = '\n'.join(lines[end : statement.end_lineno])
            end = statement.end_lineno or end
            if isinstance(statement, ast.ImportFrom) and statement.level:
                source = find_module(path, statement)
                self.own_imports |= {alias.name: source for alias in statement.names}
            else:
                self.statements |= dict.fromkeys(list_defined(statement), statement)


class Collector:
    """Collects a definition of a module, and all that it uses of this package."""

    def __init__(self) -> None:
        self.modules: dict[Path, Module] = {}
        self.needed: set[ast.stmt] = set()
        self.origins: dict[str, str] = {}  # of each name in the file
        self.used: dict[Path, set[Path]] = defaultdict(set)  # the modules that each module uses

    def add(self, path: Path, name: str) -> Path:
        """Add what a name stands for in a module, and return the module that defines it. Names that
        none defines are Python's or local.

        Raise a ValueError for a name that stands for something else in another module: in the file
        there is only one.
        """
        if path not in self.modules:
            self.modules[path] = Module(path)
        module = self.modules[path]
        if name in module.own_imports:
            return self.add(module.own_imports[name], name)
        statement = module.statements.get(name)
        if statement is None:
            return path
        origin = describe_origin(statement, name, path)
        if self.origins.setdefault(name, origin) != origin:
            raise ValueError(f'{name} is from {self.origins[name]} and from {origin}. Rename one')
        if statement not in self.needed:
            self.needed.add(statement)
            sources = {self.add(path, used) for used in list_used(statement, path)}
            self.used[path] |= sources - {path}
        return path

    def join(self) -> str:
        """Return the text of all that was added, each module behind those that it uses."""
        graph = {path: sorted(used) for path, used in self.used.items()}  # in one order each time
        parts = [DOCSTRING]
        for path in TopologicalSorter(graph).static_order():
            module = self.modules[path]
            parts.append(f'\n\n# {path.relative_to(FOLDER.parents[1])}: {module.title}')
            parts += [text for statement, text in module.texts.items() if statement in self.needed]
        return '\n'.join(parts) + '\n'


def find_module(path: Path, statement: ast.ImportFrom) -> Path:
    """Return the file of the module from which a module at ``path`` imports."""
    folder = path.parents[statement.level - 1]
    module = folder.joinpath(*(statement.module or '').split('.'))
    return module / '__init__.py' if module.is_dir() else module.with_suffix('.py')


def list_defined(statement: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines or imports."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names]
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return [node.id for node in names if isinstance(node.ctx, ast.Store)]


def describe_origin(statement: ast.stmt, name: str, path: Path) -> str:
    """Return the package that a statement imports with a name, or the module that defines it."""
    if isinstance(statement, ast.ImportFrom):
        return f'{statement.module}'
    return name if isinstance(statement, ast.Import) else str(path)


def list_used(statement: ast.stmt, path: Path) -> Iterator[str]:
    """Yield the names that a statement uses.

    Raise a ValueError if it imports from this package, which the file cannot do.
    """
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f'{path}, line {node.lineno}: import it at the top of the module')
        if isinstance(node, ast.Name):
            yield node.id


def make_one_file() -> str:
    """Return the text of the file."""
    collector = Collector()
    collector.add(FOLDER / 'onnx_predictor.py', 'OnnxPredictor')
    return collector.join()


if __name__ == '__main__':
    sys.stdout.write(make_one_file())
