"""Pictures of the rival networks: what can be drawn is right, what cannot is refused in a sentence."""

import numpy as np
import pytest

import mmgcvit.models.rivals  # noqa: F401  (registers)
from mmgcvit.inference import UserError
from mmgcvit.visualization import attention, queries

from ...visualization.conftest import classifier_of, picture  # noqa: F401  (a fixture)


def test_windows_that_are_shifted_are_put_back(tmp_path, picture):  # noqa: F811
    """Of shifted windows of 4, the query in the corner shares its window with two rows and columns."""
    model = classifier_of(tmp_path / 'run', type='mmgcvit.GCViTShifted', window_size=(4, 4, 2, 2))
    _, shifted = attention(model, picture, stage=0, at=(0, 0)).blocks
    assert np.argwhere(shifted.weights > 1e-6).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert np.nansum(shifted.weights) == pytest.approx(1, abs=1e-5)


def test_global_keys_are_refused(tmp_path, picture):  # noqa: F811
    model = classifier_of(tmp_path / 'run', type='mmgcvit.GCViTGlobalKeyValue')
    with pytest.raises(UserError, match='has global keys'):
        attention(model, picture)


@pytest.mark.parametrize('kind', ['GCViTLocal', 'SwinWithoutShifting'])
def test_a_network_without_a_global_query_is_refused(tmp_path, picture, kind):  # noqa: F811
    model = classifier_of(tmp_path / 'run', type=f'mmgcvit.{kind}')
    with pytest.raises(UserError, match=f'{kind} has no global query'):
        queries(model, picture)
