"""A training replaces an earlier run in its work dir once it has begun."""

from contextlib import nullcontext, suppress
from unittest import mock

import pytest
from mmengine.config import Config

from mmgcvit.engine.hooks.start import StartHook


@pytest.mark.parametrize('is_killed', [False, True])
@pytest.mark.parametrize(
    ('moment', 'options'),
    [('after_train_iter', {}), ('before_save_checkpoint', {'checkpoint': {}})],
)
def test_a_run_replaces_an_earlier_one_after_an_iteration_or_when_it_saves(
    moment, options, is_killed, tmp_path
):
    """A resumed run may begin with a validation, which saves. If the run is killed before it has
    written its config, the one that it was started with is left.
    """
    config = tmp_path / 'own.py'
    config.write_text('value = 1')
    earlier = tmp_path / 'epoch_9.pth'
    earlier.touch()
    cfg = Config.fromfile(config)
    cfg.value = 2
    runner = mock.Mock(cfg=cfg, work_dir=str(tmp_path))
    hook = StartHook()
    hook.before_train(runner)
    assert earlier.exists()
    killed = mock.patch('mmgcvit.engine.hooks.start.write_text', side_effect=OSError)
    with killed if is_killed else nullcontext(), suppress(OSError):
        getattr(hook, moment)(runner, **options)
    assert not earlier.exists()
    assert Config.fromfile(config).value == (1 if is_killed else 2)
