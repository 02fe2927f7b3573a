"""Train the toy model on several ranks, in forks or under torchrun, and read what is left."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from .. import fork_server, programs
from ..engine.random_training import read_last_state
from ..fork_server import reserve_port
from ..programs import ROOT
from ..tools.commands import CONFIGS, TOOLS, environment_for

CONFIG = CONFIGS / 'nodes.py'


def describe(work_dir, events):
    """Return the environment that makes the events happen."""
    done = work_dir.with_name(f'{work_dir.name}_done')
    done.mkdir(exist_ok=True)
    return {'EVENTS': json.dumps(events), 'DONE': str(done)}


def list_settings(work_dir, options, settings):
    command = [CONFIG, '--work-dir', work_dir, *options]
    return [*command, '--cfg-options', 'train_cfg.max_epochs=2', *settings]


def train_in_forks(num_ranks, work_dir, *options, events=(), settings=(), has_nodes=False):
    """Train on ranks without torchrun, each of them on a node of its own if ``has_nodes``. Return
    the exit code and the output of each.
    """
    shared = {'WORLD_SIZE': str(num_ranks), 'MASTER_ADDR': '127.0.0.1'}
    if has_nodes:
        shared['NODES'] = str(num_ranks)
    shared |= describe(work_dir, events)
    command = ['-m', 'mmgcvit', 'train', *list_settings(work_dir, options, settings)]

    def run(rank):
        ranks = {'RANK': str(rank), 'LOCAL_RANK': str(rank), 'MASTER_PORT': str(port)}
        environment = environment_for('', **ranks, **shared)
        ended = fork_server.run(*command, '--launcher', 'pytorch', environment=environment)
        return ended.returncode, ended.stdout + ended.stderr

    with reserve_port() as port, ThreadPoolExecutor(num_ranks) as pool:
        return list(pool.map(run, range(num_ranks)))


def train_with_torchrun(num_ranks, work_dir, *options, events=(), settings=(), **environment):
    """Train with tools/dist_train.sh. Return the exit code and the output."""
    config, *rest = list_settings(work_dir, options, settings)
    environment |= describe(work_dir, events)
    environment |= {'PYTHONPATH': str(ROOT), 'PYTHON': sys.executable}
    command = [TOOLS / 'dist_train.sh', config, num_ranks, *rest]
    with reserve_port() as port:
        settings = {'PORT': str(port), **environment}
        ended = programs.run(command, environment_for('', **settings))
    return ended.returncode, ended.stdout + ended.stderr


def read_state(work_dir):
    return read_last_state(work_dir)
