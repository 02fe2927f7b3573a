"""Processes join as their launcher says, on machines without a GPU too; one that cannot is told how to start."""

import pytest
from mmengine.config import Config

from mmgcvit.engine.processes import join_processes
from mmgcvit.errors import UserError
from mmgcvit.mmengine_utils import replace_type


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_processes_that_cannot_join_are_told_what_starts_them(launcher, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(UserError, match=rf'--launcher {launcher}: there is no GPU here, .*tools/dist_train\.sh'):
        join_processes(Config({'launcher': launcher}))


def test_without_gpus_a_type_is_replaced_at_every_depth():
    cfg = Config({'model': {'heads': [{'norm_cfg': {'type': 'SyncBN'}}, {'x': ({'type': 'SyncBN'},)}], 'type': 'A'}})
    replace_type(cfg.model, 'SyncBN', 'BN')
    assert 'SyncBN' not in str(cfg)
    assert str(cfg).count("'BN'") == 2
