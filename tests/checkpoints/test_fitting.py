"""A checkpoint fits a model with all of its tensors and no others, or is refused."""

import pytest
import torch
from torch import nn

from mmgcvit.checkpoints.checks import is_same_kind
from mmgcvit.checkpoints.fitting import fit_checkpoint
from mmgcvit.checkpoints.grids import POSITION_TABLES
from mmgcvit.checkpoints.safe_loading import Checkpoint
from mmgcvit.errors import CheckpointError
from mmgcvit.models.layers.position import PositionEmbedding, RelativePositionBias


def add_prefix(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.fixture
def norm():
    """Return a model with a buffer that is not finite, as masks are."""
    model = nn.Sequential(nn.BatchNorm1d(2))
    model.register_buffer('mask', torch.tensor(float('-inf')))
    return model


@pytest.mark.parametrize('prefix', ['', 'module.module.'])
def test_a_checkpoint_fits_with_the_prefix_of_data_parallelism(prefix, norm):
    checkpoint = Checkpoint('x', {'state_dict': add_prefix(prefix, norm.state_dict())}, None, False)
    fit_checkpoint(norm, checkpoint)
    norm.load_state_dict(checkpoint.content['state_dict'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'0.weight': torch.zeros(3, 3)}, r"0\.weight.*wrong shape .* fit the config's model"),
        ({'0.running_var': torch.tensor([1.0, torch.nan])}, r'\(0\.running_var\) with NaN'),
        ({'0.weight': torch.ones(2, dtype=torch.int64)}, r'0\.weight.*int64 instead of'),
        (
            {'0.num_batches_tracked': torch.tensor(1.5)},
            r'num_batches_tracked.*wrong shape or dtype',
        ),
        (
            {'0.foreign': torch.zeros(1)},
            r"\(0\.foreign\) for which the config's model has no place",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_rejected(change, message, norm):
    changed = Checkpoint('x', {'state_dict': {**norm.state_dict(), **change}}, None, False)
    with pytest.raises(CheckpointError, match=message):
        fit_checkpoint(norm, changed)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({}, None),
        ({'module.0.weight': torch.zeros(3, 3)}, r'\(ema_state_dict\) has.*0\.weight.*wrong shape'),
        ({'module.0.weight': torch.tensor([1.0, torch.nan])}, r'\(0\.weight\) with NaN'),
        ({'module.0.weight': None}, r'lacks .*0\.weight'),
        ({'module.0.foreign': torch.zeros(1)}, 'foreign'),
        ({'steps': None}, 'lacks steps'),
    ],
)
def test_a_run_resumes_only_with_all_weights_of_ema(change, message, norm):
    """mmengine exchanges them with the model's, and drops those that do not fit."""
    state = {'steps': torch.tensor(3), **add_prefix('module.', norm.state_dict()), **change}
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    content = {'state_dict': norm.state_dict(), 'ema_state_dict': state}
    checkpoint = Checkpoint('x', content, None, True)
    if message is None:
        fit_checkpoint(norm, checkpoint)
        assert checkpoint.content['ema_state_dict'].keys() == state.keys()
        return
    with pytest.raises(CheckpointError, match=message):
        fit_checkpoint(norm, checkpoint)


def test_buffers_that_a_model_does_not_save_must_have_its_values_and_counters_may_lack(norm):
    norm.register_buffer('mean', torch.ones(2), persistent=False)
    tensors = norm.state_dict()
    counter = tensors.pop('0.num_batches_tracked')
    checkpoint = Checkpoint('x', {'state_dict': {**tensors, 'mean': torch.ones(2)}}, None, False)
    fit_checkpoint(norm, checkpoint)
    assert checkpoint.content['state_dict'].keys() == norm.state_dict().keys()
    assert checkpoint.content['state_dict']['0.num_batches_tracked'] == counter
    changed = Checkpoint('x', {'state_dict': {**tensors, 'mean': torch.zeros(2)}}, None, False)
    with pytest.raises(CheckpointError, match='other values of the buffer mean'):
        fit_checkpoint(norm, changed)


def test_only_position_tables_may_have_another_square_number_of_rows():
    table = 'a.relative_position_bias_table'
    for name, shape, expected in (
        (table, (49, 3), True),
        (table, (50, 3), False),
        (table, (49, 4), False),
        ('a.weight', (49, 3), False),
    ):
        assert is_same_kind(name, torch.zeros(shape), torch.zeros(9, 3)) == expected


@pytest.mark.parametrize('is_resumed', [True, False])
def test_lora_is_merged_unless_a_run_is_resumed(is_resumed):
    """The optimizer's state is that of the matrices."""
    model = nn.Sequential(nn.Linear(2, 3))
    state = model.state_dict()
    matrices = {'0.lora_down': torch.ones(1, 2), '0.lora_up': torch.ones(3, 1)}
    checkpoint = Checkpoint('x', {'state_dict': {**state, **matrices}}, None, is_resumed)
    if is_resumed:
        with pytest.raises(CheckpointError, match='with the lora_rank of its start'):
            fit_checkpoint(model, checkpoint)
    else:
        fit_checkpoint(model, checkpoint)
        assert torch.equal(checkpoint.content['state_dict']['0.weight'], state['0.weight'] + 1)


def test_every_table_on_a_grid_is_known_as_a_position_table():
    names = []
    for module in (PositionEmbedding(1, (2, 2)), RelativePositionBias((2, 2), 1)):
        names += dict(module.named_parameters())
    assert sorted(names) == sorted(POSITION_TABLES)
