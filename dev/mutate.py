"""Change one small thing at a time in a module, and list the changes that no test notices.

Examples:
  python dev/mutate.py                                    # modules that differ from main
  python dev/mutate.py mmgcvit/ops/rle.py
  python dev/mutate.py mmgcvit/ops/rle.py --tests tests/ops/test_rle.py --limit 10

It works on a copy of the clone in a temporary folder. For each change it runs the tests that are
named after the module (test_MODULE*.py in its folder), or --tests. "killed" means that a test
failed; "alive" that none did: read it, and write a claim with a test, unless the changed code does
the same.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: '<=',
    ast.LtE: '<',
    ast.Gt: '>=',
    ast.GtE: '>',
    ast.Eq: '!=',
    ast.NotEq: '==',
    ast.In: 'not in',
    ast.NotIn: 'in',
    ast.Is: 'is not',
    ast.IsNot: 'is',
}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: '-',
    ast.Sub: '+',
    ast.Mult: '/',
    ast.Div: '*',
    ast.FloorDiv: '/',
}
NO_TESTS = 5  # pytest's exit code where it has collected none


@dataclass(frozen=True)
class Mutant:
    """A change of a module: the text from ``start`` to ``end`` (in bytes) becomes ``new``."""

    line: int
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: bytes) -> bytes:
        """Return the changed source."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def find_changes(node: ast.AST, text: str) -> Iterator[str]:
    """Yield what a node may be replaced by. ``text`` is its source.

    Comparisons and operators are turned into their neighbours, conditions into their opposites,
    numbers are one higher, and calls whose value nobody reads are left out.
    """
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            yield f'({ast.unparse(left)}) {COMPARISONS[type(operator)]} ({ast.unparse(right)})'
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            yield f'(({ast.unparse(left)}) {OPERATORS[type(operator)]} ({ast.unparse(right)}))'
        case ast.BoolOp(op=operator, values=values):
            joined = ' and ' if isinstance(operator, ast.Or) else ' or '
            yield '(' + joined.join(f'({ast.unparse(value)})' for value in values) + ')'
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f'({ast.unparse(operand)})'
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() | float() as value):
            yield f'({value + 1})'
        case ast.Expr(value=ast.Call()):
            yield 'pass'
        case ast.IfExp(test=condition, body=body, orelse=orelse):
            yield f'({ast.unparse(orelse)} if {ast.unparse(condition)} else {ast.unparse(body)})'


def list_mutants(source: bytes) -> list[Mutant]:
    """Return all changes of a module, in the order of its lines."""
    line_starts = [0]
    for line in source.splitlines(keepends=True):
        line_starts.append(line_starts[-1] + len(line))
    mutants = []
    tree = ast.parse(source)
    in_texts = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        # Positions in f-strings are those of the whole text before Python 3.12.
        if not isinstance(node, ast.expr | ast.stmt) or id(node) in in_texts:
            continue
        start = line_starts[node.lineno - 1] + node.col_offset
        end = line_starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        old = source[start:end].decode()
        for new in find_changes(node, old):
            mutants.append(Mutant(node.lineno, start, end, old, new))
    return sorted(mutants, key=lambda mutant: (mutant.line, mutant.start, mutant.new))


def find_tests(module: Path, root: Path) -> list[Path]:
    """Return the test files that are named after a module, relative to the clone."""
    folder = Path('tests', *module.parent.parts[1:])
    files = [
        folder / f'test_{module.stem}.py',
        *sorted(root.glob(f'{folder}/test_{module.stem}_*.py')),
    ]
    found = [file if not file.is_absolute() else file.relative_to(root) for file in files]
    return [file for file in found if (root / file).exists()]


def list_changed_modules(root: Path, base: str) -> list[Path]:
    """Return the modules of the package that differ from a commit."""
    command = ['git', 'diff', '--name-only', '--diff-filter=d', base, '--', 'mmgcvit/*.py']
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return [Path(name) for name in listed.stdout.splitlines()]


def copy_clone(root: Path, copy: Path) -> None:
    """Copy the files that git knows, or would know."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split('\0')):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)


def run_tests(copy: Path, tests: Sequence[Path], timeout: float | None) -> str:
    """Run tests in the copy until one fails.

    Return 'alive' if all pass, 'killed' if one fails or the time in seconds is over.
    """
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider']
    environment = {**os.environ, 'PYTHONPATH': str(copy), 'PYTHONDONTWRITEBYTECODE': '1'}
    try:
        ended = subprocess.run(
            [*command, *map(str, tests)],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return 'killed'
    if ended.returncode == NO_TESTS:
        raise SystemExit(f'mutate: {" ".join(map(str, tests))} have no test')
    return 'killed' if ended.returncode else 'alive'


def mutate(copy: Path, module: Path, tests: Sequence[Path], limit: int | None) -> dict[str, int]:
    """Try the changes of a module, and print each with what became of it. Return the counts."""
    source = (copy / module).read_bytes()
    mutants = list_mutants(source)
    if limit is not None and limit < len(mutants):
        chosen = random.Random(0).sample(range(len(mutants)), limit)
        mutants = [mutants[index] for index in sorted(chosen)]
    started = time.monotonic()
    if run_tests(copy, tests, timeout=None) == 'killed':
        raise SystemExit(f'mutate: {" ".join(map(str, tests))} fail without a change')
    timeout = 60 + 5 * (time.monotonic() - started)
    counts = {'killed': 0, 'alive': 0}
    for mutant in mutants:
        (copy / module).write_bytes(mutant.apply(source))
        result = run_tests(copy, tests, timeout)
        counts[result] += 1
        old = ' '.join(mutant.old.split())
        print(f'{result:6} {module}:{mutant.line}: {old} -> {mutant.new}', flush=True)
    (copy / module).write_bytes(source)
    return counts


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('modules', nargs='*', type=Path, help='default: those that differ')
    parser.add_argument('--base', default='main', help='the commit to compare with (default: main)')
    parser.add_argument('--tests', nargs='+', type=Path, default=[], help='test files to run')
    parser.add_argument('--limit', type=int, help='try N changes of each module, always the same')
    parser.add_argument('--root', type=Path, default=ROOT, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, copy the clone and try all changes."""
    options = make_parser().parse_args(arguments)
    root = options.root.resolve()
    modules = options.modules or list_changed_modules(root, options.base)
    totals = {'killed': 0, 'alive': 0}
    with TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        copy_clone(root, copy)
        for module in modules:
            tests = options.tests or find_tests(module, root)
            if not tests:
                print(f'no test is named after {module}: add --tests', flush=True)
                continue
            for result, count in mutate(copy, module, tests, options.limit).items():
                totals[result] += count
    print(f'{totals["killed"]} killed, {totals["alive"]} alive')


if __name__ == '__main__':
    main()
