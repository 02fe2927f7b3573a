"""A run warns if a scheduler kills it before a checkpoint at a signal is saved."""

from types import SimpleNamespace
from unittest import mock

import pytest

from mmgcvit.engine import save_time
from mmgcvit.engine.save_time import MARGIN, measure_save

TORCHRUN = {'TORCHELASTIC_RUN_ID': 'none'}
RAISED = TORCHRUN | {'TORCH_ELASTIC_SHUTDOWN_TIMEOUT': '300'}
KUBERNETES = {'KUBERNETES_SERVICE_HOST': '10.0.0.1'}


@pytest.mark.parametrize(
    ('environment', 'seconds', 'warned'),
    [
        ({}, 1000, []),
        (TORCHRUN, 30 - MARGIN, []),
        (TORCHRUN, 31 - MARGIN, ['TORCH_ELASTIC_SHUTDOWN_TIMEOUT']),
        (RAISED, 300 - MARGIN, []),
        (RAISED, 301 - MARGIN, ['TORCH_ELASTIC_SHUTDOWN_TIMEOUT']),
        (KUBERNETES, 30 - MARGIN, []),
        (KUBERNETES, 31 - MARGIN, ['terminationGracePeriodSeconds']),
        (RAISED | KUBERNETES, 31 - MARGIN, ['terminationGracePeriodSeconds']),
    ],
)
@pytest.mark.parametrize('is_rank_0', [True, False])
def test_a_save_that_takes_longer_than_the_grace_period_is_warned_of(
    environment, seconds, warned, is_rank_0, monkeypatch
):
    """A signal waits for the iteration too. Newer versions of torch read the variable."""
    for name in (*RAISED, *KUBERNETES):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    class LaunchConfig:
        pass

    field = SimpleNamespace(name='shutdown_timeout')
    monkeypatch.setattr(save_time, 'LaunchConfig', LaunchConfig)
    monkeypatch.setattr(save_time, 'fields', lambda config: [field])
    monkeypatch.setattr(save_time, 'is_main_process', lambda: is_rank_0)
    monkeypatch.setattr(save_time.time, 'monotonic', mock.Mock(side_effect=[5.0, 5.0 + seconds]))
    runner = mock.Mock()
    with measure_save(runner):
        pass
    monkeypatch.undo()
    assert runner.logger.info.called == is_rank_0
    messages = [call.args[0] for call in runner.logger.warning.call_args_list]
    assert len(messages) == (len(warned) if is_rank_0 else 0)
    for name, message in zip(warned, messages, strict=False):
        assert f'unless {name} is larger' in message
        assert message.endswith(f'Raise {name} above {seconds + MARGIN}')
