"""Training and testing refuse checkpoints that do not hold the model's weights."""

import pytest
import torch
from torch import nn

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.checkpoints.loading import check_fits

from . import toy


@pytest.fixture
def fits(tmp_path):
    """Checks a model against what is saved; gives the sentence of a refusal."""

    def fits(model, content, part=''):
        torch.save(content, tmp_path / 'x.pth')
        try:
            check_fits(model, str(tmp_path / 'x.pth'), part)
        except CheckpointError as error:
            return str(error)
        return None

    return fits


def test_wrappers_around_the_model_do_not_matter_and_a_part_can_be_asked_for_alone(fits):
    weights = nn.Linear(2, 3).state_dict()
    for prefix in ('', 'module.', 'module.module.'):
        state_dict = {prefix + name: tensor for name, tensor in weights.items()}
        assert fits(nn.Linear(2, 3), {'state_dict': state_dict}) is None
    saved, other = (nn.ModuleDict({'backbone': nn.Linear(2, 2), 'head': nn.Linear(2, n)}) for n in (5, 7))
    assert fits(other, {'state_dict': saved.state_dict()}, part='backbone.') is None
    assert fits(other, {'state_dict': saved.state_dict()}) is not None


def test_what_is_missing_of_another_shape_or_not_finite_is_named(fits):
    for content in ({'state_dict': {'weight': torch.zeros(3, 3)}}, {'meta': {}}):
        said = fits(nn.Linear(2, 3), content)
        assert '2 of its 2 tensors are missing' in said
    for value in (float('nan'), float('inf')):
        state_dict = nn.Linear(2, 3).state_dict()
        state_dict['weight'][1, 1] = value
        said = fits(nn.Linear(2, 3), {'state_dict': state_dict})
        assert '1 tensors that are no weights: weight (values that are not finite' in said


def test_running_statistics_that_are_not_finite_are_named(fits):
    """Other buffers may be infinite by design."""
    model = nn.Sequential(nn.BatchNorm1d(3))
    model.register_buffer('mask', torch.tensor(float('-inf')))
    assert fits(model, {'state_dict': model.state_dict()}) is None
    variance = {'0.running_var': torch.tensor([1.0, float('nan'), 1.0])}
    assert '0.running_var' in fits(model, {'state_dict': model.state_dict() | variance})


def test_a_position_table_without_a_grid_is_named(fits):
    model = toy.backbone()
    name = 'stages.1.blocks.0.attn.position.relative_position_bias_table'
    said = {
        rows: fits(model, {'state_dict': {**model.state_dict(), name: torch.zeros(rows, 1)}}) for rows in (0, 8, 50)
    }
    assert all(name in words for words in said.values())
    assert fits(model, {'state_dict': {**model.state_dict(), name: torch.zeros(1, 1)}}) is None, 'of one token'
