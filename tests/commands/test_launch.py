"""What the launcher reads from the environment."""

import pytest

from mmgcvit.commands.launch import read_nodes, threads
from mmgcvit.commands.nodes import Nodes

SECOND_OF_TWO = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'node0'}


def test_nodes_are_described_by_the_variables_of_the_hosts_scripts():
    assert read_nodes(SECOND_OF_TWO) == Nodes(2, 1, 'node0', 29500, silence=300)
    assert read_nodes({**SECOND_OF_TWO, 'PORT': '1234', 'NODE_TIMEOUT': '60'}) == Nodes(2, 1, 'node0', 1234, silence=60)


def test_one_node_takes_a_free_port_of_its_own():
    """And its own address: schedulers export another one by which nobody could reach the loopback interface."""
    nodes = [read_nodes(environment) for environment in ({}, {'MASTER_ADDR': '10.0.0.1'})]
    assert {(node.count, node.rank, node.address) for node in nodes} == {(1, 0, '127.0.0.1')}
    assert nodes[0].port != nodes[1].port


@pytest.mark.parametrize('silence', ['9', '-1', '1.5', 'never'])
def test_a_silence_that_makes_no_sense_is_refused(silence):
    with pytest.raises(SystemExit, match=f'NODE_TIMEOUT must be a whole number of 10 or more, not {silence!r}'):
        read_nodes({**SECOND_OF_TWO, 'NODE_TIMEOUT': silence})


def test_threads_that_the_user_has_set_stay():
    assert threads(1000, {}) == {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
    assert threads(1, {'OMP_NUM_THREADS': '3'}) == {'OMP_NUM_THREADS': '3', 'MKL_NUM_THREADS': '3'}
