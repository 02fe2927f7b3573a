"""The lists of ``mistakes --labels`` have at least as many planted errors as those of cleanlab, for the
same predictions. If a later cleanlab finds more, this project should use it.

cleanlab is in no environment of this project: ``pip install cleanlab`` into one runs these.

Modules: `tests/own/judging/beside_cleanlab.py`.
"""

import pytest

SEEDS = range(3)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('name', ['classes', 'boxes', 'maps'])
def test_cleanlab_does_not_find_more(name, seed):
    pytest.importorskip('cleanlab')
    from .beside_cleanlab import COMPARISONS

    ours, theirs = COMPARISONS[name](seed)
    assert ours.found >= theirs.found
    assert ours.first >= theirs.first
