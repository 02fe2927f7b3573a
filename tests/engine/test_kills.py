"""Whole trainings of the hosts' models end with the same numbers whenever they are killed; see :mod:`.kills`."""

import random

import pytest
import torch

from .kills import TASKS, kill_often
from .states import difference


@pytest.mark.slow
@pytest.mark.parametrize('task', TASKS)
def test_a_killed_training_that_is_resumed_ends_as_one_that_was_not_killed(task, digits, tmp_path):
    for outcome in kill_often(digits, task, tmp_path, kills=3, choose=random.Random(0)):
        assert outcome.difference is None, outcome


def test_a_difference_of_the_last_bit_is_seen():
    state = {'state_dict': {'weight': torch.ones(3)}, 'optimizer': {'state': {0: {'step': torch.tensor(7.0)}}}}
    other = {'state_dict': {'weight': torch.ones(3)}, 'optimizer': {'state': {0: {'step': torch.tensor(7.0)}}}}
    assert difference(state, other) is None
    other['state_dict']['weight'][1] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    assert difference(state, other) == 'state.state_dict.weight by up to 1.2e-07'
