"""The run with which others are compared."""

import pytest

from .ranks import read_state, train_in_forks


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Return a function that gives the state of an uninterrupted run on a number of ranks."""
    states = {}

    def get(num_ranks):
        if num_ranks not in states:
            folder = tmp_path_factory.mktemp('whole') / 'run'
            for code, output in train_in_forks(num_ranks, folder):
                assert code == 0, output[-2000:]
            states[num_ranks] = read_state(folder)
        return states[num_ranks]

    return get
