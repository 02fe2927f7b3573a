"""Ranks join over gloo or NCCL with the timeout of the config, and say what an error may mean."""

import signal
from unittest import mock

import pytest
import torch.distributed as dist
from mmengine.config import Config

from mmgcvit.engine import ranks
from mmgcvit.engine.ranks import CPU_MODEL_WRAPPER, join_process_group

NORM = {'type': 'SyncBN', 'requires_grad': True}
MODEL = {
    'type': 'EncoderDecoder',
    'backbone': {'norm_cfg': NORM},
    'heads': [{'norm_cfg': NORM}, {'norm_cfg': {'type': 'LN'}}],
}


def make_config(launcher, **settings):
    return Config(
        {'launcher': launcher, 'model': MODEL, 'env_cfg': {'dist_cfg': {'timeout': 77}}, **settings}
    )


def test_ranks_without_gpus_join_over_gloo_and_need_no_gpus_for_norms(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr(dist, 'init_process_group', joined := mock.Mock())
    monkeypatch.setenv('RANK', '0')
    cfg = make_config('pytorch')
    join_process_group(cfg)
    assert joined.call_args.args == ('gloo',)
    assert joined.call_args.kwargs['timeout'].total_seconds() == 77
    assert cfg.model_wrapper_cfg == CPU_MODEL_WRAPPER
    assert cfg.model.backbone.norm_cfg.type == 'BN'
    assert [head.norm_cfg.type for head in cfg.model.heads] == ['BN', 'LN']


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_ranks_with_gpus_join_by_their_launcher_with_the_timeout_of_the_config(
    launcher, monkeypatch
):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr(ranks, 'init_dist', joined := mock.Mock())
    monkeypatch.setattr(ranks, 'set_multi_processing', prepared := mock.Mock())
    environment = {'dist_cfg': {'backend': 'nccl'}, 'mp_cfg': {'mp_start_method': 'fork'}}
    cfg = make_config(launcher, env_cfg=environment)
    join_process_group(cfg)
    settings = {'backend': 'nccl', 'timeout': 7200.0}
    assert joined.call_args == mock.call(launcher, **settings)
    assert prepared.call_args == mock.call(mp_start_method='fork', distributed=True)
    assert cfg.model.backbone.norm_cfg.type == 'SyncBN'


def test_a_process_without_a_launcher_joins_nothing(monkeypatch):
    monkeypatch.setattr(dist, 'init_process_group', joined := mock.Mock())
    join_process_group(make_config('none'))
    assert not joined.called


@pytest.mark.parametrize('is_distributed', [True, False])
def test_an_error_of_a_rank_is_raised_and_what_it_may_mean_is_said(
    is_distributed, monkeypatch, capsys
):
    """Gloo's errors for a lost rank have no type of their own."""
    monkeypatch.setattr(dist, 'is_initialized', lambda: is_distributed)
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(RuntimeError, match='closed by peer'), ranks.run_rank('pytorch', 1):
        raise RuntimeError('Connection closed by peer')
    said = capsys.readouterr().err
    assert said.startswith('rank 1 ends by an error (Connection closed') == is_distributed
    assert ('another rank has ended or hangs' in said) == is_distributed


@pytest.mark.parametrize(
    ('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (None, 130)]
)
@pytest.mark.parametrize('backend', ['gloo', 'nccl'])
def test_an_interrupted_rank_ends_with_the_code_of_its_signal(number, code, backend, monkeypatch):
    """At once, since threads of the process group may hang."""
    monkeypatch.setattr(dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(dist, 'get_backend', lambda: backend)
    monkeypatch.setattr('logging.shutdown', lambda: None)
    monkeypatch.setattr('os._exit', mock.Mock(side_effect=SystemExit))
    monkeypatch.setenv('LOCAL_RANK', '0')
    with pytest.raises(SystemExit), ranks.run_rank('pytorch', 0):
        raise KeyboardInterrupt(*[number] * (number is not None))
    ranks.os._exit.assert_called_once_with(code)
