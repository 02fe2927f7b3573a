"""Relative position bias: indexed by query minus key, resized when another window's table is loaded."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.models.layers import RelativePositionBias
from mmgcvit.models.layers.position import align_rows, relative_position_index, resize_table

windows = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(window=windows)
def test_the_index_is_query_minus_key_row_by_row(window):
    """The definition, pair by pair: (dy + h-1) * (2w-1) + dx + w-1."""
    h, w = window
    index = relative_position_index(window)
    for q in range(h * w):
        for k in range(h * w):
            dy, dx = q // w - k // w, q % w - k % w
            assert index[q, k] == (dy + h - 1) * (2 * w - 1) + dx + w - 1


@given(window=windows)
def test_every_row_of_the_table_is_used(window):
    h, w = window
    index = relative_position_index(window)
    assert torch.equal(index.unique(), torch.arange((2 * h - 1) * (2 * w - 1)))


def test_the_bias_is_the_table_at_the_index(device):
    position = RelativePositionBias((3, 4), num_heads=2).to(device)
    table, index = position.relative_position_bias_table, relative_position_index((3, 4), device)
    assert torch.equal(position(), table[index].permute(2, 0, 1))


def test_loading_another_windows_table_resizes_it_bicubically(device):
    """Into a module on the device, from the CPU, as checkpoints are read."""
    small, large = RelativePositionBias((7, 7), 3), RelativePositionBias((12, 9), 3).to(device)
    large.load_state_dict(small.state_dict())
    image = small.relative_position_bias_table.T.reshape(1, 3, 13, 13)
    expected = F.interpolate(image, size=(23, 17), mode='bicubic', align_corners=False)
    assert large.relative_position_bias_table.device.type == device
    torch.testing.assert_close(large.relative_position_bias_table.T.reshape(1, 3, 23, 17).cpu(), expected)


def test_loading_does_not_change_the_state_dict_it_is_given():
    state = RelativePositionBias((7, 7), 3).state_dict()
    before = state['relative_position_bias_table'].shape
    RelativePositionBias((12, 12), 3).load_state_dict(state)
    assert state['relative_position_bias_table'].shape == before


def test_a_table_that_fits_is_loaded_as_it_is():
    table = torch.rand(169, 2)
    assert resize_table(table, (13, 13), (13, 13)) is table


def test_a_table_of_no_square_window_is_refused():
    with pytest.raises(ValueError, match='35 rows'):
        RelativePositionBias((4, 4), 2).load_state_dict({'relative_position_bias_table': torch.rand(35, 2)})


def test_a_table_of_another_number_of_heads_is_refused():
    with pytest.raises(RuntimeError, match='size mismatch'):
        RelativePositionBias((4, 4), 2).load_state_dict({'relative_position_bias_table': torch.rand(169, 3)})


def test_inference_keeps_the_bias(device):
    position = RelativePositionBias((3, 4), 2).to(device).eval()
    with torch.no_grad():
        assert position() is position()
        assert position(torch.bfloat16) is not position()
        assert position(torch.bfloat16).dtype is torch.bfloat16


def changed_by_data(position):
    position.relative_position_bias_table.data.add_(1)


def changed_in_place(position):
    with torch.no_grad():
        position.relative_position_bias_table.add_(1)


def changed_by_loading(position):
    table = position.relative_position_bias_table.detach()
    position.load_state_dict({**position.state_dict(), 'relative_position_bias_table': table + 1})


def changed_by_assignment(position):
    position.relative_position_bias_table = torch.nn.Parameter(position.relative_position_bias_table.detach() + 1)


@pytest.mark.parametrize('change', [changed_by_data, changed_in_place, changed_by_loading, changed_by_assignment])
@pytest.mark.parametrize('inference', [torch.no_grad, torch.inference_mode])
def test_a_changed_table_changes_the_bias(change, inference, device):
    position = RelativePositionBias((3, 4), 2).to(device).eval()
    with inference():
        before = position().clone()
    change(position)
    if device != 'cpu' and change is changed_by_data:
        position.eval()  # as documented: there nothing else tells
    with inference():
        torch.testing.assert_close(position(), before + 1)


def test_what_is_kept_serves_no_gradient_and_is_not_copied(device):
    position = RelativePositionBias((3, 4), 2).to(device).eval()
    with torch.no_grad():
        position()
    assert position().requires_grad
    assert copy.deepcopy(position).kept is None
    assert position.double().kept is None
    replaced = {'relative_position_bias_table': torch.zeros(35, 2, dtype=torch.double, device=device)}
    with torch.no_grad():
        position()
        assert not torch.func.functional_call(position, replaced).any()


def test_large_biases_are_not_kept_on_a_cpu():
    """Thirty blocks with windows of 24 would keep hundreds of megabytes."""
    position = RelativePositionBias((24, 24), 2).eval()
    with torch.no_grad():
        assert position() is not position()


def test_rows_are_aligned_for_cuda_and_mean_the_same():
    """torch's kernel would otherwise copy the bias at each call."""
    meant = relative_position_index((7, 7))
    aligned = align_rows(meant)
    assert aligned.shape == (49, 56)
    assert torch.equal(aligned[:, :49], meant)
    assert aligned.min() >= 0
    assert aligned.max() < 169


def test_an_oblong_modules_shape_survives_undefined_memory():
    """Module.to_empty leaves buffers undefined; loading and saving put the shape there."""
    with torch.device('meta'):
        loaded, saved = RelativePositionBias((3, 4), 2), RelativePositionBias((3, 4), 2)
    loaded.to_empty(device='cpu').window_shape.fill_(-7)
    saved.to_empty(device='cpu').window_shape.fill_(-7)
    loaded.load_state_dict(RelativePositionBias((3, 4), 2).state_dict())
    assert loaded.window_shape.tolist() == saved.state_dict()['window_shape'].tolist() == [3, 4]
