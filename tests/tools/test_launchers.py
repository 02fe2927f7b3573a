"""The launchers start several ranks on the CPU, and pass their arguments to srun.

Modules: `tools/launch.sh`, `tools/dist_train.sh`, `tools/dist_test.sh`, `tools/slurm_train.sh`,
`tools/slurm_test.sh`.
"""

import os

import pytest

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


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh', 'dist_smoke.sh']
)
def test_launcher_without_arguments_prints_its_usage(script):
    assert f'{script} ' in call_in_shell('', TOOLS / script, 'config.py', fails=True)
