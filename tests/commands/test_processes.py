"""Who a process is, as its launcher says it."""

import os
import socket

import pytest
from mmengine.config import Config

from mmgcvit.engine.processes import prepare_processes, replace_type, settle_meeting_place, settle_rank

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
def test_rank_and_size_are_taken_from_the_launcher(launcher, variables, environment):
    environment.update(variables)
    settle_rank(launcher)
    assert (environment['RANK'], environment['WORLD_SIZE'], environment['LOCAL_RANK']) == ('3', '4', '1')


@pytest.mark.parametrize(('launcher', 'missing'), [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID')])
def test_a_process_that_no_launcher_started_is_told_which_does(launcher, missing, environment):
    with pytest.raises(SystemExit, match=f'--launcher {launcher}: {missing} is not in the environment; .*tools/'):
        settle_rank(launcher)


def test_jobs_that_share_a_node_under_slurm_meet_at_their_own_ports(environment):
    environment.update(SLURM)
    settle_meeting_place('slurm', None)
    assert (environment['MASTER_ADDR'], environment['MASTER_PORT']) == ('127.0.0.1', '24568')


def test_the_port_that_the_config_says_is_taken(environment):
    environment.update(SLURM)
    settle_meeting_place('slurm', 29501)
    assert environment['MASTER_PORT'] == '29501'


def test_the_place_that_the_environment_says_stays(environment):
    environment.update(SLURM | {'MASTER_ADDR': 'node7', 'MASTER_PORT': '29502'})
    settle_meeting_place('slurm', None)
    assert (environment['MASTER_ADDR'], environment['MASTER_PORT']) == ('node7', '29502')


@pytest.mark.parametrize(('launcher', 'variables'), [('slurm', SLURM), ('mpi', MPI)])
def test_a_port_that_is_taken_is_named_where_no_launcher_of_ours_has_looked(launcher, variables, environment):
    environment.update(variables)
    rank = next(name for name in variables if name.endswith(('PROCID', 'WORLD_RANK')))
    with socket.create_server(('', 0)) as other:
        port = other.getsockname()[1]
        environment.update({rank: '0', 'MASTER_PORT': str(port)})
        with pytest.raises(SystemExit, match=rf'^MASTER_PORT={port} cannot be used \(Address already in use\); set'):
            prepare_processes(Config({'launcher': launcher}))
        environment['PORT'] = str(port)
        with pytest.raises(SystemExit, match=rf'^PORT={port} cannot be used'):
            prepare_processes(Config({'launcher': launcher}))


def test_mpi_on_several_nodes_needs_an_address(environment):
    environment.update(MPI | {'OMPI_COMM_WORLD_LOCAL_SIZE': '2', 'WORLD_SIZE': '4'})
    with pytest.raises(SystemExit, match='needs MASTER_ADDR'):
        settle_meeting_place('mpi', None)


def test_replace_type_reaches_every_depth():
    cfg = Config({'model': {'heads': [{'norm_cfg': {'type': 'SyncBN'}}, {'x': ({'type': 'SyncBN'},)}], 'type': 'A'}})
    replace_type(cfg.model, 'SyncBN', 'BN')
    assert 'SyncBN' not in str(cfg)
    assert str(cfg).count("'BN'") == 2
