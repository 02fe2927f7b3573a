"""How good the tests are: which of a code's mutants they let live.

Run:  python -m tests.mutants mmgcvit/models/layers --draw 100 --seed 1

One operator, constant, condition, returned value or statement of a file is changed or removed, and those fast tests of
its folder that run it (:mod:`.chosen_tests`) run until one fails; a mutant lives if all of them pass. The tests of each
run in a process forked from one that has imported the hosts, on a copy of the repository.
"""

import argparse
import ast
import copy
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .chosen_tests import Choice, Watch, function_at
from .fork_server import HOSTS, PARTS
from .programs import ROOT

COPIED = ('mmgcvit', 'tests', 'configs', 'tools', 'docs', 'pyproject.toml', 'setup.py', 'README.md', 'model-index.yml')
NO_TESTS = 5  # pytest.ExitCode.NO_TESTS_COLLECTED
OTHER_OPERATORS = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
}


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        file: Below the repository's root.
        line: Where.
        was: The code there before, and after.
        becomes: See ``was``.
        source: The whole file, changed.
    """

    file: Path
    line: int
    was: str
    becomes: str
    source: str

    def __str__(self):
        return f'{self.file}:{self.line}: {self.was!r:.70} -> {self.becomes!r:.70}'


def parse_args():
    parser = argparse.ArgumentParser(prog='python -m tests.mutants', description=__doc__.splitlines()[0])
    parser.add_argument('code', type=Path, help='a file or a folder of the package, for example mmgcvit/models/layers')
    parser.add_argument('--tests', nargs='*', help='default: the folder of tests of the same name')
    parser.add_argument('--draw', type=int, default=10**9, help='how many mutants; default: all')
    parser.add_argument('--seed', type=int, default=0, help='of the draw')
    parser.add_argument('--skip', type=int, default=0, help='leave out the first of those drawn, which ran before')
    return parser.parse_args()


def mutants_of(file):
    """All mutants of a file."""
    text = (ROOT / file).read_text()
    tree = ast.parse(text)
    annotations = {id(node) for node in annotated(tree)}
    for node in ast.walk(tree):
        if id(node) in annotations:
            continue
        for changed in changes_of(node):
            whole = replaced(tree, node, changed)
            yield Mutant(file, node.lineno, ast.unparse(node), ast.unparse(changed), ast.unparse(whole))


def annotated(tree):
    """What nothing computes: annotations, docstrings, imports of names for others."""
    for node in ast.walk(tree):
        parts = [getattr(node, 'annotation', None), getattr(node, 'returns', None)]
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == '__all__' for t in node.targets):
            parts.append(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        for part in filter(None, parts):
            yield from ast.walk(part)


def changes_of(node):
    """What a node may become."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in OTHER_OPERATORS:
        yield with_field(node, 'op', OTHER_OPERATORS[type(node.op)]())
    if isinstance(node, ast.Compare):
        yield with_field(node, 'ops', [OTHER_OPERATORS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.Constant):
        yield from (ast.copy_location(ast.Constant(value), node) for value in other_values(node.value))
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield with_field(node, 'test', ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Return) and node.value is not None and not is_none(node.value):
        yield with_field(node, 'value', ast.Constant(None))
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Raise) or is_call_for_effect(node):
        yield ast.copy_location(ast.Pass(), node)


def other_values(value):
    """What a constant may become; texts are messages and names, and stay."""
    if isinstance(value, bool):
        return [not value]
    return [value + 1] if isinstance(value, int | float) else []


def is_none(node):
    return isinstance(node, ast.Constant) and node.value is None


def is_call_for_effect(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def with_field(node, name, value):
    changed = copy.copy(node)
    setattr(changed, name, value)
    return changed


def replaced(tree, old, new):
    """A tree with one node in the place of another."""

    class Replacing(ast.NodeTransformer):
        def visit(self, node):
            return ast.copy_location(new, old) if node is old else self.generic_visit(with_own_lists(node))

    return ast.fix_missing_locations(Replacing().visit(tree))


def with_own_lists(node):
    """A node whose lists may be changed without changing the tree that it is of."""
    own = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            setattr(own, name, list(value))
    return own


def tests_of(code, named):
    """The files of tests."""
    folder = code.parent if code.suffix else code
    folders = named or [Path('tests', *folder.parts[1:])]
    return [file for each in folders for file in ([Path(each)] if Path(each).suffix else sorted(tests_in(each)))]


def tests_in(folder):
    return (path.relative_to(ROOT) for path in (ROOT / folder).rglob('test_*.py'))


def run_tests(copied, tests, plugin):
    """What a forked process does: run tests of a copy of the repository, and leave there what they print and take."""
    os.setsid()
    log = os.open(copied / 'output.txt', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(copied)
    os.environ['PYTHONPATH'] = str(copied)
    os.environ['PYTHONDONTWRITEBYTECODE'] = '1'
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copied), *(path for path in sys.path if path not in ('', str(ROOT)))]
    for name in [name for name in sys.modules if name.split('.')[0] in ('tests', 'mmgcvit')]:
        del sys.modules[name]
    import pytest

    options = ['-x', '-q', '-p', 'no:cacheprovider', '-m', 'not slow and not demo']
    failed = pytest.main([*options, *map(str, tests)], plugins=[plugin])
    if isinstance(plugin, Watch):
        (copied / 'watched.json').write_text(json.dumps({'seconds': plugin.seconds, 'calls': plugin.calls}))
    sys.exit(failed)


def outcome_of(copied, tests, plugin):
    """Whether tests pass, in a new process: ``lives``, ``killed``, ``takes too long`` or ``is not run``."""
    process = multiprocessing.get_context('fork').Process(target=run_tests, args=(copied, tests, plugin))
    process.start()
    process.join()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.exitcode == -signal.SIGALRM:
        return 'takes too long'
    if process.exitcode == NO_TESTS:
        return 'is not run'
    return 'killed' if process.exitcode else 'lives'


def main():
    args = parse_args()
    console = Console(soft_wrap=True)
    files = [args.code] if args.code.suffix else sorted(p.relative_to(ROOT) for p in (ROOT / args.code).rglob('*.py'))
    possible = [mutant for file in files for mutant in mutants_of(file)]
    drawn = random.Random(args.seed).sample(possible, min(args.draw, len(possible)))
    tests = tests_of(args.code, args.tests)
    console.print(f'{len(possible):,} mutants of {args.code}, {len(drawn)} drawn')
    import_hosts()
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder).resolve()
        copy_repository(copied)
        if outcome_of(copied, tests, Watch(copied, args.code)) != 'lives':
            raise SystemExit('the tests fail on the code as it is:\n' + (copied / 'output.txt').read_text()[-3000:])
        watched = json.loads((copied / 'watched.json').read_text())
        count = Counter()
        for mutant in drawn[args.skip :]:
            outcome = judge(mutant, copied, tests, watched)
            count[outcome] += 1
            # Each as it comes: a run that is stopped has told of those that it judged, which --skip leaves out.
            console.print(f'{outcome}: {mutant}', markup=False, highlight=False)
    console.print(', '.join(f'{number} {outcome}' for outcome, number in count.items()))


def judge(mutant, copied, tests, watched):
    """What comes of one mutant."""
    original = (copied / mutant.file).read_text()
    choice = Choice(function_at(mutant.file, mutant.line, original), f'test_{mutant.file.stem}.py', **watched)
    (copied / mutant.file).write_text(mutant.source)
    try:
        return outcome_of(copied, tests, choice)
    finally:
        (copied / mutant.file).write_text(original)


def copy_repository(target):
    for name in COPIED:
        copy_one = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy_one(ROOT / name, target / name)


def import_hosts():
    """Import what takes seconds, and nothing of this project; without GPUs and threads, so that it can be forked."""
    os.environ |= {'CUDA_VISIBLE_DEVICES': '-1', 'OMP_NUM_THREADS': '1'}
    for name in ('torch', 'hypothesis', 'pytest', *(f'{host}.{part}' for host in HOSTS for part in PARTS)):
        __import__(name)


if __name__ == '__main__':
    main()
