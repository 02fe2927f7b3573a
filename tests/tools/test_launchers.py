"""The launchers start several ranks on the CPU, pass their arguments to torchrun and srun, and end
with the code of a rank.

Modules: `tools/launch.sh`, `tools/torchrun.py`, `tools/dist_train.sh`, `tools/dist_test.sh`,
`tools/dist_smoke.sh`, `tools/slurm_train.sh`, `tools/slurm_test.sh`.
"""

import os
import re
import runpy
import shutil
import signal as signals
import sys
from unittest import mock

import pytest
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mmgcvit.engine.interrupts import SIGNALS

from ..fork_server import reserve_port
from ..programs import ROOT
from .commands import TOOLS, call_in_shell

# A fake srun, which prints its arguments and then runs a task for each of two ranks.
SRUN = """#!/usr/bin/env bash
echo "srun $*"
while [[ $1 == -* ]]; do [ "$1" = -p ] && shift; shift; done
for ((rank = 0; rank < 2; rank++)); do SLURM_PROCID=$rank "$@"; done
"""


@pytest.mark.long
@pytest.mark.parametrize(
    'config',
    [
        'tests/data/configs/classify.py',
        'configs/cascade_gcvit_t.py',
        pytest.param('configs/upernet_gcvit_t.py', marks=pytest.mark.release),
        pytest.param('configs/gcvit_xxt_in1k.py', marks=pytest.mark.release),
        pytest.param('configs/dino_gcvit_t_12e.py', marks=pytest.mark.release),
        pytest.param(
            'configs/other_heads/mask2former_gcvit_t_ade20k.py', marks=pytest.mark.release
        ),
    ],
)
def test_dist_smoke_trains_resumes_and_tests(config, digits, tmp_path):
    """With data of its own in two processes, with miniatures of public datasets in one."""
    data, processes = ('own', 2) if config.startswith('tests') else ('miniature', 1)
    settings = {'SMOKE_DIR': str(tmp_path), 'DATA': data, 'SHRINK': '16', 'PYTHONPATH': str(ROOT)}
    command = [TOOLS / 'dist_smoke.sh', ROOT / config, processes]
    with reserve_port() as port:
        output = call_in_shell(digits, *command, PORT=str(port), **settings)
    assert f'in {processes} processes: all steps OK' in output


def write_programs(folder, **texts):
    """Write fakes of slurm's programs, and return the PATH on which they come first."""
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f'{folder}:{os.environ["PATH"]}'


def test_srun_gets_the_settings_of_the_environment(tmp_path):
    path = write_programs(tmp_path, srun=SRUN, python='#!/bin/sh\necho "task $SLURM_PROCID: $*"\n')
    script = [TOOLS / 'slurm_test.sh', 'part', 'name', 'config.py', 'x.pth', '--out', 'a file']
    asked = {'GPUS': '4', 'GPUS_PER_NODE': '2', 'CPUS_PER_TASK': '3'}
    asked |= {'SRUN_ARGS': '--time=60 --exclusive', 'PYTHON': str(tmp_path / 'python')}
    output = call_in_shell('', *script, PATH=path, **asked)
    assert (
        'srun -p part --job-name=name --gres=gpu:2 --ntasks=4 --ntasks-per-node=2 '
        '--cpus-per-task=3 --kill-on-bad-exit=1 --time=60 --exclusive '
    ) in output
    assert f'task 1: -u {TOOLS}/test.py config.py x.pth --out a file --launcher slurm' in output


def test_srun_gets_the_work_dir_and_the_options_of_a_training(tmp_path):
    path = write_programs(tmp_path, srun=SRUN, python='#!/bin/sh\necho "task $SLURM_PROCID: $*"\n')
    script = [
        TOOLS / 'slurm_train.sh',
        'part',
        'name',
        'config.py',
        'a folder',
        '--resume',
        '--amp',
    ]
    output = call_in_shell('', *script, PATH=path, PYTHON=str(tmp_path / 'python'))
    assert 'srun -p part --job-name=name --gres=gpu:8 --ntasks=8 --ntasks-per-node=8 ' in output
    assert (
        f'task 1: -u {TOOLS}/train.py config.py --work-dir a folder --resume --amp --launcher slurm'
    ) in output


# A fake srun that sends the script a signal, and ends when it gets SIGUSR1.
PREEMPTED = """#!/bin/sh
trap 'exit 143' USR1
kill -{signal} $PPID
while :; do sleep 0.1; done
"""


@pytest.mark.parametrize(
    ('signal', 'state', 'is_requeued'),
    [
        ('USR1', 'RUNNING', True),
        ('TERM', 'RUNNING', True),
        ('HUP', 'RUNNING', True),
        ('USR1', 'CANCELLED', False),
    ],
)
def test_a_preempted_slurm_job_is_queued_again_unless_it_was_cancelled(
    signal, state, is_requeued, tmp_path
):
    programs = {'scontrol': '#!/bin/sh\necho "$*"\n', 'squeue': f'#!/bin/sh\necho {state}\n'}
    path = write_programs(tmp_path, srun=PREEMPTED.format(signal=signal), **programs)
    script = [TOOLS / 'slurm_train.sh', 'part', 'name', 'config.py', 'work_dir']
    output = call_in_shell('', *script, fails=True, PATH=path, SLURM_JOB_ID='7')
    assert ('requeue 7' in output) == is_requeued


# A fake srun that sends the script a signal, and that a signal ends before Python handles it.
STARTING = PREEMPTED.replace("trap 'exit 143' USR1\n", '')
# One that the script interrupts. Unlike a shell, it can handle a signal that it ignored before.
INTERRUPTED = f"""#!{sys.executable}
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
os.kill(os.getppid(), signal.SIG{{signal}})
time.sleep(60)
"""


@pytest.mark.parametrize(
    ('srun', 'signal', 'code', 'is_requeued'),
    [
        (STARTING, 'USR1', 143, True),
        (INTERRUPTED, 'INT', 130, False),
        (PREEMPTED, 'TERM', 143, True),
        ('#!/bin/sh\nexit 1\n', '', 1, False),
        ('#!/bin/sh\nexit 138\n', '', 138, False),
    ],
)
def test_the_exit_code_of_a_slurm_job_says_whether_it_goes_on(
    srun, signal, code, is_requeued, tmp_path
):
    """A job that was preempted while it started has lost nothing. One that a user has interrupted
    or that has failed is not queued again, nor one of which somebody has ended a rank (138).
    """
    programs = {'scontrol': '#!/bin/sh\necho "$*"\n', 'squeue': '#!/bin/sh\necho RUNNING\n'}
    path = write_programs(tmp_path, srun=srun.format(signal=signal), **programs)
    script = f'{TOOLS}/slurm_train.sh part name config.py work_dir; echo "code $?"'
    output = call_in_shell('', 'bash', '-c', script, PATH=path, SLURM_JOB_ID='7')
    assert f'code {code}' in output
    assert ('requeue 7' in output) == is_requeued


def test_torchrun_forwards_each_signal_that_a_training_handles(tmp_path):
    """It waits for ranks that save a large checkpoint. The user may set both."""
    names = 'PET_SIGNALS_TO_HANDLE', 'TORCH_ELASTIC_SHUTDOWN_TIMEOUT'
    lines = ''.join(f'echo {name}=${name}\n' for name in names)
    path = tmp_path / 'python'
    write_programs(tmp_path, python=f'#!/bin/sh\n{lines}')
    call = '', TOOLS / 'dist_train.sh', 'config.py', 2
    output = call_in_shell(*call, PYTHON=str(path))
    signals = set(re.search('HANDLE=(.*)', output)[1].split(','))
    assert signals >= {number.name for number in SIGNALS}
    assert 'TIMEOUT=300' in output
    given = call_in_shell(
        *call, PYTHON=str(path), **dict(zip(names, ('SIGTERM', '9'), strict=True))
    )
    assert given.split() == [f'{names[0]}=SIGTERM', f'{names[1]}=9']


# A fake Python that prints each of its arguments on a line, and two variables.
ARGUMENTS = """#!/bin/sh
printf '%s\\n' "$@"
echo "PYTHONPATH=$PYTHONPATH"
echo "SHARED=$TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""
NODES = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'first', 'PORT': '1234'}


def list_torchrun_arguments(tmp_path, script, *arguments, **environment):
    """Call a launcher with a fake Python. Return the lines that this prints."""
    write_programs(tmp_path, python=ARGUMENTS)
    python = str(tmp_path / 'python')
    return call_in_shell('', TOOLS / script, *arguments, PYTHON=python, **environment).splitlines()


@pytest.mark.parametrize(
    ('script', 'arguments', 'passed'),
    [
        (
            'dist_train.sh',
            ['a config.py', '4', '--work-dir', 'a folder'],
            ['train.py', 'a config.py', '--work-dir', 'a folder'],
        ),
        (
            'dist_test.sh',
            ['a config.py', 'x.pth', '4', '--out', 'a file'],
            ['test.py', 'a config.py', 'x.pth', '--out', 'a file'],
        ),
    ],
)
@pytest.mark.parametrize(
    ('environment', 'settings'),
    [
        (
            {},
            ['--nnodes=1', '--node-rank=0', '--master-addr=127.0.0.1', '--master-port=29500'],
        ),
        (
            {**NODES, 'TORCHRUN_ARGS': '--log-dir logs --tee=3'},
            ['--nnodes=2', '--node-rank=1', '--master-addr=first', '--master-port=1234'],
        ),
    ],
)
def test_torchrun_gets_the_arguments_and_the_settings_of_the_environment(
    script, arguments, passed, environment, settings, tmp_path
):
    """Words with spaces stay whole. Modules of the user's PYTHONPATH are found."""
    lines = list_torchrun_arguments(
        tmp_path, script, *arguments, PYTHONPATH='mine', MAX_RESTARTS='', **environment
    )
    program, *options = passed
    asked = environment.get('TORCHRUN_ARGS', '').split()
    assert lines == [
        f'{TOOLS}/torchrun.py',
        *settings,
        '--nproc-per-node=4',
        *asked,
        f'{TOOLS}/{program}',
        *options,
        '--launcher',
        'pytorch',
        f'PYTHONPATH={TOOLS}/..:mine',
        'SHARED=',
    ]


@pytest.mark.parametrize(('node', 'is_host'), [('0', 'true'), ('1', 'false')])
def test_restarted_ranks_meet_at_the_first_node(node, is_host, tmp_path):
    """A test has no --resume."""
    environment = {**NODES, 'NODE_RANK': node, 'MAX_RESTARTS': '3'}
    lines = list_torchrun_arguments(tmp_path, 'dist_test.sh', 'a.py', 'x.pth', '4', **environment)
    assert lines[1:8] == [
        '--nnodes=2',
        '--rdzv-backend=c10d',
        '--rdzv-endpoint=first:1234',
        f'--rdzv-conf=is_host={is_host}',
        '--rdzv-id=mmgcvit1234',
        '--max-restarts=3',
        '--nproc-per-node=4',
    ]
    assert lines[-1] == 'SHARED=1'


def test_restarts_with_torchruns_own_rendezvous_are_rejected(tmp_path):
    """Another rendezvous may be given."""
    write_programs(tmp_path, python=ARGUMENTS)
    settings = {'PYTHON': str(tmp_path / 'python'), 'TORCHRUN_ARGS': '--max-restarts=3'}
    call = '', TOOLS / 'dist_train.sh', 'config.py', 2
    assert 'set MAX_RESTARTS=N instead' in call_in_shell(*call, fails=True, **settings)
    settings['TORCHRUN_ARGS'] += ' --rdzv-backend=etcd'
    assert '--rdzv-backend=etcd' in call_in_shell(*call, **settings).splitlines()


@pytest.mark.parametrize(
    ('variables', 'expected'),
    [
        ({'PYTHON': 'mine/python'}, 'mine/python'),
        ({'PYTHON': 'mine/python', 'VIRTUAL_ENV': 'env'}, 'mine/python'),
        ({'VIRTUAL_ENV': 'env'}, 'active/python'),
        ({'CONDA_PREFIX': 'env'}, 'active/python'),
        ({}, '.venv/bin/python'),
    ],
)
def test_the_python_is_that_of_the_user_of_the_active_environment_or_of_the_clone(
    variables, expected, tmp_path
):
    for folder in ('mine', 'active', '.venv/bin', 'tools'):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ('mine', 'active', '.venv/bin'):
        write_programs(tmp_path / folder, python='#!/bin/sh\n')
    shutil.copy(TOOLS / 'launch.sh', tmp_path / 'tools')
    environment = dict.fromkeys(('PYTHON', 'VIRTUAL_ENV', 'CONDA_PREFIX'), '') | variables
    if 'PYTHON' in variables:
        environment['PYTHON'] = str(tmp_path / variables['PYTHON'])
    environment['PATH'] = f'{tmp_path}/active:{os.environ["PATH"]}'
    found = call_in_shell('', tmp_path / 'tools' / 'launch.sh', 'python', **environment).strip()
    assert os.path.normpath(found.replace('/tools/..', '')) == str(tmp_path / expected)


def run_torchrun(monkeypatch, main):
    """Run tools/torchrun.py, whose ``main`` of torch is another function. Return the exit code."""
    monkeypatch.setattr('torch.distributed.run.main', main)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOLS / 'torchrun.py'), run_name='__main__')
    return ended.value.code


@pytest.fixture
def default_handlers():
    """Restore the handlers of signals after a test."""
    before = {number: signals.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signals.signal(number, handler)


@pytest.mark.parametrize(
    ('number', 'code'), [('SIGINT', 130), ('SIGTERM', 143), ('SIGHUP', 143), ('SIGUSR1', 143)]
)
@pytest.mark.usefixtures('default_handlers')
def test_torchrun_ends_at_a_signal_as_ctrl_c_or_as_preempted(number, code, monkeypatch):
    error = SignalException('got a signal', sigval=signals.Signals[number])
    assert run_torchrun(monkeypatch, mock.Mock(side_effect=error)) == code


@pytest.mark.parametrize(('rank', 'code'), [(-9, 137), (-15, 143), (143, 143), (2, 2), (0, 1)])
@pytest.mark.usefixtures('default_handlers')
def test_torchrun_ends_with_the_code_of_the_rank_that_failed_first(
    rank, code, monkeypatch, tmp_path
):
    """A run that has failed never ends with 0."""
    failure = ProcessFailure(1, pid=99, exitcode=rank, error_file=str(tmp_path / 'none'))
    error = ChildFailedError('train.py', {1: failure})
    assert run_torchrun(monkeypatch, mock.Mock(side_effect=error)) == code


@pytest.mark.parametrize('number', [signals.SIGHUP, signals.SIGUSR1])
@pytest.mark.usefixtures('default_handlers')
def test_torchrun_is_preempted_by_a_signal_before_it_handles_them(number, monkeypatch):
    """It takes seconds to import torch. A signal that is ignored (nohup) stays so."""
    code = run_torchrun(monkeypatch, lambda: signals.getsignal(number)(number, None))
    assert code == 143
    signals.signal(number, signals.SIG_IGN)
    run_torchrun(monkeypatch, lambda: sys.exit(0))
    assert signals.getsignal(number) is signals.SIG_IGN


# A fake Python for dist_smoke.sh, which trains and tests nothing.
SMOKE = """#!/bin/sh
case "$*" in
    -c*) echo '"" 8' ;;
    *smoke_config.py*) echo "max_iters=2" > {folder}/config/config.py ;;
    *train.py*) mkdir -p {folder}/config/run
        echo {folder}/config/run/iter_4.pth > {folder}/config/run/last_checkpoint
        echo "$*"; echo 'iter: 2' ;;
    *) echo "$*" ;;
esac
"""


def test_a_second_smoke_test_begins_anew(tmp_path):
    """Else it would stop at the checkpoints of the first."""
    write_programs(tmp_path, python=SMOKE.format(folder=tmp_path))
    settings = {'PYTHON': str(tmp_path / 'python'), 'SMOKE_DIR': str(tmp_path), 'DATA': 'own'}
    left = tmp_path / 'config' / 'run' / 'iter_2.pth'
    for _ in range(2):
        output = call_in_shell('', TOOLS / 'dist_smoke.sh', 'config.py', 2, **settings)
        assert 'in 2 processes: all steps OK' in output
        assert f'test.py {tmp_path}/config/config.py {tmp_path}/config/run/iter_4.pth' in output
        assert not left.exists()
        left.touch()


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh', 'dist_smoke.sh']
)
def test_launcher_without_arguments_prints_its_usage(script):
    assert f'{script} ' in call_in_shell('', TOOLS / script, 'config.py', fails=True)
