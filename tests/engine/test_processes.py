"""Who a process is, as its launcher says it, and where it finds the others."""

import os
import socket

import pytest
from mmengine.config import Config

from mmgcvit.engine.processes import prepare_processes, settle_meeting_place, settle_rank
from mmgcvit.errors import UserError
from mmgcvit.hosts.mmengine import replace_type

SLURM = {'SLURM_PROCID': '3', 'SLURM_NTASKS': '4', 'SLURM_LOCALID': '1', 'SLURM_NNODES': '1'}
SLURM |= {'SLURM_JOB_ID': '1234567', 'SLURM_STEP_ID': '1'}
MPI = {'OMPI_COMM_WORLD_RANK': '3', 'OMPI_COMM_WORLD_SIZE': '4', 'OMPI_COMM_WORLD_LOCAL_RANK': '1'}
MPI |= {'OMPI_COMM_WORLD_LOCAL_SIZE': '4'}


@pytest.fixture
def environment(monkeypatch):
    """An empty environment; what is put there is forgotten after the test."""
    monkeypatch.setattr(os, 'environ', {})
    return os.environ


@pytest.mark.parametrize(('launcher', 'variables'), [('slurm', SLURM), ('mpi', MPI)])
def test_rank_and_size_are_taken_from_the_launcher_and_a_port_that_is_taken_is_named(launcher, variables, environment):
    with pytest.raises(UserError, match=f'--launcher {launcher}: {next(iter(variables))} is not in .*; .*started by'):
        settle_rank(launcher)
    environment.update(variables)
    settle_rank(launcher)
    assert (environment['RANK'], environment['WORLD_SIZE'], environment['LOCAL_RANK']) == ('3', '4', '1')
    with socket.create_server(('', 0)) as other:
        port = other.getsockname()[1]
        environment.update({next(iter(variables)): '0', 'MASTER_PORT': str(port)})
        with pytest.raises(UserError, match=rf'^MASTER_PORT={port} cannot be used \(Address already in use\); set'):
            prepare_processes(Config({'launcher': launcher}))
        environment['PORT'] = str(port)
        with pytest.raises(UserError, match=rf'^PORT={port} cannot be used'):
            prepare_processes(Config({'launcher': launcher}))


def test_processes_meet_where_the_config_or_the_environment_says_and_two_jobs_on_a_node_at_two_ports(
    environment,
):
    def place(port=None, **variables):
        environment.clear()
        environment.update(SLURM | variables)
        settle_meeting_place('slurm', port)
        return environment['MASTER_ADDR'], environment['MASTER_PORT']

    assert place() == ('127.0.0.1', '24568')
    assert place(29501) == ('127.0.0.1', '29501')
    assert place(MASTER_ADDR='node7', MASTER_PORT='29502') == ('node7', '29502')
    environment.clear()
    environment.update(MPI | {'OMPI_COMM_WORLD_LOCAL_SIZE': '2', 'WORLD_SIZE': '4'})
    with pytest.raises(UserError, match='needs MASTER_ADDR'):
        settle_meeting_place('mpi', None)


def test_without_gpus_a_type_is_replaced_at_every_depth():
    cfg = Config({'model': {'heads': [{'norm_cfg': {'type': 'SyncBN'}}, {'x': ({'type': 'SyncBN'},)}], 'type': 'A'}})
    replace_type(cfg.model, 'SyncBN', 'BN')
    assert 'SyncBN' not in str(cfg)
    assert str(cfg).count("'BN'") == 2
