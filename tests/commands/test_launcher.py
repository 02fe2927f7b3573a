"""Processes on one node or several: what the launcher reads, how nodes hear of each other, what folders they share."""

import re
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import torch.distributed as dist
import yaml
from mmengine.config import Config

from mmgcvit.commands import launcher, train
from mmgcvit.commands.launch import read_nodes, threads
from mmgcvit.commands.launcher import DONE, FAILED, Nodes, Pulse
from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import parse
from mmgcvit.engine import processes
from mmgcvit.engine.early_end import RESUME_ME
from mmgcvit.errors import UserError

from ..docs.pages import blocks
from ..programs import ROOT, running, started, wait_for

CONFIG = 'tests/data/configs/classify.py'
# Configs read data/...
IN_IMAGE = re.search('WORKDIR (.+)', (ROOT / 'docker' / 'Dockerfile').read_text())[1]
SECOND_OF_TWO = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'node0'}


def test_nodes_are_described_by_the_variables_of_the_hosts_scripts():
    assert read_nodes(SECOND_OF_TWO) == Nodes(2, 1, 'node0', 29500, silence=300)
    assert read_nodes({**SECOND_OF_TWO, 'PORT': '1234', 'NODE_TIMEOUT': '60'}) == Nodes(2, 1, 'node0', 1234, silence=60)


def pods_of(manifest):
    """The containers of a manifest, each with the variables that it has in a cluster.

    As kubeflow/training-operator 1.7 and later sets them, and Kubernetes the index of a pod of an indexed job.
    """
    spec = manifest['spec']
    if manifest['kind'] == 'PyTorchJob':
        parts = spec['pytorchReplicaSpecs']
        templates = [part['template'] for part in parts.values() for _ in range(part['replicas'])]
        address = f'{manifest["metadata"]["name"]}-master-0'
        of_all = {'WORLD_SIZE': str(len(templates)), 'PET_NNODES': str(len(templates)), 'PET_NPROC_PER_NODE': 'auto'}
        for prefix in ('', 'PET_'):
            of_all |= {f'{prefix}MASTER_ADDR': address, f'{prefix}MASTER_PORT': '23456'}
        given = [of_all | {'RANK': str(rank), 'PET_NODE_RANK': str(rank)} for rank in range(len(templates))]
    elif manifest['kind'] == 'JobSet':
        (part,) = spec['replicatedJobs']
        spec = part['template']['spec']
        templates = [spec['template']] * spec['completions']
        given = [{"metadata.annotations['batch.kubernetes.io/job-completion-index']": str(rank)} for rank in (0, 1)]
    else:
        templates, given = [spec['template']], [{}]
    for template, variables in zip(templates, given, strict=True):
        (container,) = template['spec']['containers']
        for entry in container.get('env', ()):
            is_field = 'valueFrom' in entry
            path = entry['valueFrom']['fieldRef']['fieldPath'] if is_field else None
            variables[entry['name']] = variables[path] if is_field else entry['value']
        yield template['spec'], container, variables


@pytest.mark.parametrize('block', blocks('yaml'), ids=str)
def test_each_pod_of_a_manifest_is_the_node_that_it_should_be_and_its_command_is_understood(block, monkeypatch):
    manifest = yaml.safe_load(block.text)
    called = []
    monkeypatch.setattr(launcher, 'run_on', lambda *given: called.append(given) or 75)
    monkeypatch.setattr(processes, 'check_port', lambda *_: None)
    for spec, container, variables in pods_of(manifest):
        assert spec['terminationGracePeriodSeconds'] >= 60
        assert {'name': 'shm', 'emptyDir': {'medium': 'Memory'}} in spec['volumes']
        assert {f'{IN_IMAGE}/data', '/dev/shm'} < {mount['mountPath'] for mount in container['volumeMounts']}
        script, config, number, *options = container['command']
        assert (script, '--resume' in options) == ('tools/dist_train.sh', True)
        for name in ('NNODES', *variables):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            run_command('launch', [number, 'train', config, '--device=cpu', *options])
        assert ended.value.code == 75
        assert not [name for name in called[-1][3] if name.startswith('PET_')], "they are torch's options"
        with monkeypatch.context() as patched:
            patched.setattr(sys, 'argv', ['train', *called[-1][2][3:]])
            args = parse(train)
        Config.fromfile(args.config).merge_from_dict(args.cfg_options or {})
        assert args.work_dir.startswith(f'{container["volumeMounts"][0]["mountPath"]}/')
    nodes = [nodes for nodes, *_ in called]
    name = manifest['metadata']['name']
    address = {'Job': '127.0.0.1', 'JobSet': f'{name}-node-0-0.{name}', 'PyTorchJob': f'{name}-master-0'}
    assert {(each.count, each.address) for each in nodes} == {(len(nodes), address[manifest['kind']])}
    assert [each.rank for each in nodes] == list(range(len(nodes)))
    assert len(nodes) == (1 if manifest['kind'] == 'Job' else 2)
    assert f'{RESUME_ME}' in block.text or manifest['kind'] == 'PyTorchJob'


def test_one_node_takes_a_free_port_of_its_own():
    """And its own address: schedulers export another one by which nobody could reach the loopback interface."""
    nodes = [read_nodes(environment) for environment in ({}, {'MASTER_ADDR': '10.0.0.1'})]
    assert {(node.count, node.rank, node.address) for node in nodes} == {(1, 0, '127.0.0.1')}
    assert nodes[0].port != nodes[1].port


def test_what_makes_no_sense_is_refused():
    whole = 'NODE_TIMEOUT must be a whole number of 10 or more, not '
    for environment, words in (
        *(({**SECOND_OF_TWO, 'NODE_TIMEOUT': text}, whole + repr(text)) for text in ('9', '-1', '1.5', 'never')),
        ({'NNODES': '2', 'MASTER_ADDR': 'node0'}, 'NNODES=2 needs NODE_RANK'),
        ({'NNODES': '2', 'NODE_RANK': '1'}, 'NNODES=2 needs MASTER_ADDR'),
        ({'NODE_RANK': '1'}, 'NODE_RANK=1, but the 1 nodes'),
        ({'PORT': '70000'}, 'PORT=70000 cannot be used'),
        ({'WORLD_SIZE': '2', 'RANK': '1'}, 'NNODES=$WORLD_SIZE NODE_RANK=$RANK if these count nodes'),
        ({'PET_NNODES': '1:3'}, "NNODES must be a whole number of 1 or more, not '1:3'"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            read_nodes(environment)
    whole = 'launch: GPUS must be a whole number of 1 or more, not '
    for arguments, words in (
        (['x', 'train', CONFIG], whole + "'x'"),
        (['0', 'train', CONFIG], whole + "'0'"),
        (['2', 'train', 'no.py'], 'launch: there is no config no.py'),
    ):
        with pytest.raises(SystemExit, match=re.escape(words)):
            run_command('launch', arguments)


def test_threads_that_the_user_has_set_stay():
    assert threads(1000, {}) == {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
    assert threads(1, {'OMP_NUM_THREADS': '3'}) == {'OMP_NUM_THREADS': '3', 'MKL_NUM_THREADS': '3'}


def test_the_launcher_runs_the_command_with_its_options(monkeypatch):
    called = []
    monkeypatch.setattr(launcher, 'run_on', lambda *given: called.append(given) or 75)
    with pytest.raises(SystemExit) as ended:
        run_command('launch', [2, 'train', CONFIG, '--device=cpu', '--resume'])
    assert ended.value.code == 75
    ((nodes, processes, program, environment),) = called
    assert (nodes.count, processes, environment['CUDA_VISIBLE_DEVICES']) == (1, 2, '-1')
    assert program == ['-m', 'mmgcvit', 'train', CONFIG, '--device=cpu', '--resume', '--launcher', 'pytorch']


SILENCE = 1.0


@pytest.fixture
def store():
    """What torch's launcher keeps on node 0."""
    return dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=10))


@pytest.fixture
def pulses(store, monkeypatch):
    """Three nodes that beat."""
    monkeypatch.setattr(launcher, 'SECONDS_BETWEEN_BEATS', 0.05)
    pulses = [Pulse(Nodes(3, rank, '127.0.0.1', store.port, SILENCE)) for rank in range(3)]
    for pulse in pulses:
        pulse.start()
    wait_for(lambda: all(len(pulse.heard) == 2 for pulse in pulses))
    yield pulses
    for pulse in pulses:
        pulse.stop(DONE)


def test_nodes_that_beat_or_have_ended_well_are_no_trouble_and_a_failure_is_heard_by_all_others(pulses):
    pulses[2].stop(DONE)
    time.sleep(2 * SILENCE)
    assert [pulse.trouble() for pulse in pulses[:2]] == [None] * 2
    pulses[1].stop(FAILED)
    wait_for(pulses[0].trouble)
    assert pulses[0].trouble() == 'node 1 has failed, its output says why'


def test_a_node_that_falls_silent_is_missed(store, pulses):
    pulses[1].step = 0
    wait_for(lambda: pulses[0].trouble() and pulses[2].trouble())
    assert pulses[0].trouble().startswith('node 1 has not been heard of for')
    assert pulses[1].trouble() is None


def test_a_lost_connection_is_made_anew_and_the_node_not_missed(pulses, monkeypatch):
    """The network was away for less than the silence that counts as death."""
    lost = []

    def listen(store):
        if not lost:
            lost.append(store)
            raise RuntimeError('the connection was reset')
        Pulse.listen(pulses[1], store)

    monkeypatch.setattr(pulses[1], 'listen', listen)
    wait_for(lambda: lost)
    time.sleep(2 * SILENCE)
    assert [pulse.trouble() for pulse in pulses] == [None] * 3


@pytest.fixture
def sleeping(store):
    """Node 1 of 2, a process of its own that runs something endless."""
    code = (
        'import os\n'
        'from mmgcvit.commands.launcher import Nodes, run_beside_other_nodes\n'
        f"run_beside_other_nodes(['sleep', '100'], dict(os.environ), Nodes(2, 1, '127.0.0.1', {store.port}))\n"
    )
    with started([sys.executable, '-c', code], stderr=subprocess.PIPE, text=True) as process:
        prefixed = dist.PrefixStore('mmgcvit/nodes', store)
        wait_for(lambda: prefixed.add('1', 0) > 0)
        yield process, prefixed


@pytest.mark.slow
def test_what_a_node_runs_is_ended_when_another_has_failed(sleeping):
    process, store = sleeping
    store.add('0', FAILED)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert not list(running(process)), 'what the node ran has ended too'
    assert 'node 0 has failed, its output says why: ending the processes of node 1' in errors


@pytest.mark.slow
def test_what_a_node_runs_is_ended_when_its_launcher_is_killed(sleeping):
    process, _ = sleeping
    process.kill()
    # The pipe is open as long as what the launcher ran is alive.
    process.communicate(timeout=10)
