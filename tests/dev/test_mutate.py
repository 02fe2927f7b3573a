"""Changes of a module that its tests notice are told from those that they do not, on a copy."""

import subprocess

import pytest

from dev.mutate import find_tests, list_mutants, main

SOURCE = """def is_small(x: int) -> bool:
    return x < 3


def name(x: int) -> str:
    return f'{x > 1}'
"""
TEST = """from mmgcvit.sizes import is_small


def test_two_is_small():
    assert is_small(2)
    assert not is_small(4)
"""


@pytest.fixture
def clone(tmp_path):
    """Write a clone with a module and its test, which does not try the limit itself."""
    (tmp_path / 'mmgcvit').mkdir()
    (tmp_path / 'mmgcvit' / '__init__.py').touch()
    (tmp_path / 'mmgcvit' / 'sizes.py').write_text(SOURCE)
    (tmp_path / 'tests').mkdir()
    (tmp_path / 'tests' / 'test_sizes.py').write_text(TEST)
    subprocess.run(['git', 'init', '-q'], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ('code', 'expected'),
    [
        ('x < y', ['(x) <= (y)']),
        ('not x', ['(x)']),
        ('x and y or z', ['((x and y) and (z))', '((x) or (y))']),
        ('x + 2', ['((x) - (2))', '(3)']),
        ('True', ['False']),
        ('f(x)', ['pass']),
        ('é = x in y', ['(x) not in (y)']),
        ("f'{x < y}'", []),
        ("'text'", []),
    ],
)
def test_each_part_of_a_line_is_changed_alone(code, expected):
    source = f'{code}\n'.encode()
    mutants = list_mutants(source)
    assert [mutant.new for mutant in mutants] == expected
    for mutant in mutants:
        compile(mutant.apply(source), 'module', 'exec')


def test_a_change_that_no_test_notices_is_alive_and_the_clone_stays_as_it_was(clone, capsys):
    main(['mmgcvit/sizes.py', '--root', str(clone)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        'alive  mmgcvit/sizes.py:2: x < 3 -> (x) <= (3)',
        'alive  mmgcvit/sizes.py:2: 3 -> (4)',
        '0 killed, 2 alive',
    ]
    assert (clone / 'mmgcvit' / 'sizes.py').read_text() == SOURCE
    test = clone / 'tests' / 'test_sizes.py'
    test.write_text(TEST + '    assert not is_small(3)\n')
    main(['mmgcvit/sizes.py', '--root', str(clone)])
    assert capsys.readouterr().out.endswith('2 killed, 0 alive\n')


def test_tests_that_fail_without_a_change_end_the_run(clone):
    (clone / 'tests' / 'test_sizes.py').write_text('def test_nothing():\n    assert False\n')
    with pytest.raises(SystemExit, match='fail without a change'):
        main(['mmgcvit/sizes.py', '--root', str(clone)])


def test_tests_are_found_by_the_name_of_their_module(clone):
    (clone / 'tests' / 'test_sizes_of_tiles.py').write_text('')
    found = find_tests(clone.joinpath('mmgcvit/sizes.py').relative_to(clone), clone)
    assert [path.name for path in found] == ['test_sizes.py', 'test_sizes_of_tiles.py']
