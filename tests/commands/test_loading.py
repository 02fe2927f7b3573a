"""A command loads its model with its device and thresholds."""

from unittest import mock

import pytest

from mmgcvit.commands import loading


@pytest.mark.parametrize('device', ['auto', 'cpu', 'cuda'])
@pytest.mark.parametrize('score_thr', [(), (0.5,), (0.5, {'cat': 0.1})])
def test_gpus_are_checked_unless_a_device_is_named_and_thresholds_override_those_before(
    device, score_thr, monkeypatch
):
    steps = mock.Mock()
    for name in ('check_gpus', 'disable_cudnn_attention', 'load_model'):
        monkeypatch.setattr(loading, name, getattr(steps, name))
    files = mock.Mock()
    model = loading.load_silently(files, device, score_thr)
    assert steps.check_gpus.called == (device == 'auto')
    first = score_thr[0] if score_thr else None
    steps.load_model.assert_called_once_with(
        files, files.read_checkpoint.return_value, device, first
    )
    loaded = steps.load_model.return_value
    if score_thr[1:]:
        loaded.with_score_thr.assert_called_once_with(score_thr[1])
        loaded = loaded.with_score_thr.return_value
    assert model is loaded
