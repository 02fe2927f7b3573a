"""The launchers start several ranks on the CPU, and pass their arguments to srun.

Modules: `tools/launch.sh`, `tools/dist_train.sh`, `tools/dist_test.sh`, `tools/slurm_train.sh`,
`tools/slurm_test.sh`.
"""

import os
import re
import sys

import pytest

from mmgcvit.interrupts import SIGNALS

from ..fork_server import free_port
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
    settings = {'SMOKE_DIR': str(tmp_path), 'DATA': data, 'SHRINK': '16', 'PORT': str(free_port())}
    output = call_in_shell(
        digits, TOOLS / 'dist_smoke.sh', ROOT / config, processes, PYTHONPATH=str(ROOT), **settings
    )
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
    ],
)
def test_the_exit_code_of_a_slurm_job_says_whether_it_goes_on(
    srun, signal, code, is_requeued, tmp_path
):
    """A job that was preempted while it started has lost nothing. One that a user has interrupted
    is not queued again.
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


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh', 'dist_smoke.sh']
)
def test_launcher_without_arguments_prints_its_usage(script):
    assert f'{script} ' in call_in_shell('', TOOLS / script, 'config.py', fails=True)
