"""Whole trainings of the hosts' models end with the same numbers whenever they are killed; see :mod:`.kills`."""

import random

import pytest
import torch

from ..tools.commands import train
from .kills import TASKS, kill_often
from .states import difference, last_content


@pytest.mark.slow
@pytest.mark.parametrize('task', TASKS)
def test_a_killed_training_that_is_resumed_ends_as_one_that_was_not_killed(task, digits, tmp_path):
    for outcome in kill_often(digits, task, tmp_path, random.Random(0), kills=2, while_writing=1):
        assert outcome.difference is None, outcome


@pytest.mark.slow
def test_a_detector_goes_on_after_an_epoch_as_without_an_end(digits, tmp_path):
    """Mask R-CNN, which draws boxes too, in batches of like shapes. Its schedule keeps the length it was made for."""
    options = ['--cfg-options', 'randomness.seed=0', 'train_dataloader.num_workers=2', 'train_dataloader.batch_size=2']
    train(digits, 'detect', tmp_path / 'whole', *options, 'train_cfg.max_epochs=2')
    train(digits, 'detect', tmp_path / 'torn', *options, 'train_cfg.max_epochs=1')
    train(digits, 'detect', tmp_path / 'torn', '--resume', *options, 'train_cfg.max_epochs=2')
    found, expected = (
        {name: last_content(tmp_path / folder)[name] for name in ('state_dict', 'optimizer')}
        for folder in ('torn', 'whole')
    )
    assert difference(found, expected) is None


def test_a_difference_of_the_last_bit_is_seen():
    state = {'state_dict': {'weight': torch.ones(3)}, 'optimizer': {'state': {0: {'step': torch.tensor(7.0)}}}}
    other = {'state_dict': {'weight': torch.ones(3)}, 'optimizer': {'state': {0: {'step': torch.tensor(7.0)}}}}
    assert difference(state, other) is None
    other['state_dict']['weight'][1] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    assert difference(state, other) == 'state.state_dict.weight by up to 1.2e-07'
