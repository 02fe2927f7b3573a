"""The number of type errors of each file can only fall."""

import pytest
from check_types import group_by_file, list_problems, lower_counts, read_counts, write_counts

LINES = [
    'mmgcvit/a.py:3: error: Missing type arguments  [type-arg]',
    'mmgcvit/a.py:3: note: a hint',
    'mmgcvit/a.py:9: error: Item "None" has no attribute  [union-attr]',
    'mmgcvit/b.py:1: error: Missing type arguments  [type-arg]',
]


@pytest.mark.parametrize(
    ('allowed', 'expected'),
    [
        ({'mmgcvit/a.py': 2, 'mmgcvit/b.py': 1}, []),
        ({'mmgcvit/a.py': 1, 'mmgcvit/b.py': 1}, [LINES[0], LINES[2], 'mmgcvit/a.py: 2 type err']),
        ({'mmgcvit/a.py': 2}, [LINES[3], 'mmgcvit/b.py: 1 type errors, more than 0']),
        ({'mmgcvit/a.py': 3, 'mmgcvit/b.py': 1}, ['mmgcvit/a.py: 2 type errors, fewer than 3']),
        (
            {'mmgcvit/a.py': 2, 'mmgcvit/b.py': 1, 'mmgcvit/gone.py': 4},
            ['mmgcvit/gone.py: 0 type errors, fewer than 4'],
        ),
    ],
)
def test_more_errors_are_shown_and_fewer_are_to_be_written(allowed, expected):
    problems = list_problems(group_by_file(LINES), allowed)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


def test_numbers_are_lowered_but_never_raised(tmp_path):
    """A file without errors leaves the list; one that is not in it does not come in."""
    path = tmp_path / 'type_errors.txt'
    write_counts(path, {'mmgcvit/a.py': 1, 'mmgcvit/c.py': 5})
    write_counts(path, lower_counts(group_by_file(LINES), read_counts(path)))
    assert path.read_text() == '1 mmgcvit/a.py\n'
