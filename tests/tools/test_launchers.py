"""The launchers start several ranks on the CPU: equal results, smoke tests, and the arguments of
srun.
"""

import os

import pytest
import torch

from .. import toy
from ..fork_server import free_port
from ..programs import ROOT
from .commands import CONFIGS, TOOLS, call_in_shell

# A fake srun, which prints its arguments and then runs a task for each of two ranks.
SRUN = """#!/usr/bin/env bash
echo "srun $*"
while [[ $1 == -* ]]; do [ "$1" = -p ] && shift; shift; done
for ((rank = 0; rank < 2; rank++)); do SLURM_PROCID=$rank "$@"; done
"""


def weights(work_dir):
    return torch.cat([tensor.flatten() for tensor in toy.last(work_dir)['state_dict'].values()])


# One SGD step with a learning rate of 1, so that the weights change by the gradient.
ONE_STEP = [
    'train_cfg.max_epochs=1',
    'randomness.seed=0',
    'custom_hooks.0.type=SyncBuffersHook',
    'log_level=INFO',
    'param_scheduler=None',
    'optim_wrapper.optimizer.type=SGD',
    'optim_wrapper.optimizer.lr=1',
]


@pytest.mark.long
def test_step_of_two_ranks_with_one_image_equals_one_rank_with_two_images(tmp_path):
    """Gradients are summed in another order, which changes float32 rounding."""
    toy.train(tmp_path / 'one', settings=ONE_STEP)
    toy.train(tmp_path / 'before', settings=[*ONE_STEP[:-1], 'optim_wrapper.optimizer.lr=0'])
    options = [*ONE_STEP, 'train_dataloader.batch_size=1', 'auto_scale_lr.base_batch_size=16']
    command = [TOOLS / 'dist_train.sh', toy.CONFIG, 2, '--work-dir', tmp_path / 'two']
    settings = {'PYTHONPATH': str(ROOT), 'PORT': str(free_port())}
    output = call_in_shell('', *command, '--cfg-options', *options, **settings)
    assert output.count('effective batch size of 16; this run has 2 (2 x 1 x ') == 1
    expected = weights(tmp_path / 'one')
    assert (expected - weights(tmp_path / 'before')).abs().max() > 0.01
    assert (weights(tmp_path / 'two') - expected).abs().max() < 1e-5


@pytest.mark.long
@pytest.mark.parametrize(
    ('config', 'processes', 'data'),
    [
        (CONFIGS / 'classify.py', 2, 'own'),
        (ROOT / 'configs' / 'gcvit_xxt_in1k.py', 1, 'miniature'),
        (ROOT / 'configs' / 'cascade_gcvit_t.py', 1, 'miniature'),
        (ROOT / 'configs' / 'dino_gcvit_t_12e.py', 1, 'miniature'),
        (ROOT / 'configs' / 'other_heads' / 'mask2former_gcvit_t_ade20k.py', 1, 'miniature'),
    ],
)
def test_dist_smoke_trains_resumes_and_tests(config, processes, data, digits, tmp_path):
    settings = {'SMOKE_DIR': str(tmp_path), 'DATA': data, 'SHRINK': '16', 'PORT': str(free_port())}
    output = call_in_shell(
        digits, TOOLS / 'dist_smoke.sh', config, processes, PYTHONPATH=str(ROOT), **settings
    )
    assert f'in {processes} processes: all steps OK' in output


def test_srun_gets_the_settings_of_the_environment(tmp_path):
    for name, text in (('srun', SRUN), ('python', '#!/bin/sh\necho "task $SLURM_PROCID: $*"\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    gpus = {'GPUS': '4', 'GPUS_PER_NODE': '2', 'CPUS_PER_TASK': '3'}
    programs = {'PYTHON': str(tmp_path / 'python'), 'PATH': f'{tmp_path}:{os.environ["PATH"]}'}
    script = [TOOLS / 'slurm_test.sh', 'part', 'name', 'config.py', 'x.pth', '--out', 'a file']
    asked = {'SRUN_ARGS': '--time=60 --exclusive', **gpus, **programs}
    output = call_in_shell('', *script, **asked)
    assert (
        'srun -p part --job-name=name --gres=gpu:2 --ntasks=4 --ntasks-per-node=2 '
        '--cpus-per-task=3 --kill-on-bad-exit=1 --time=60 --exclusive '
    ) in output
    task = f'task 1: -u {TOOLS}/test.py config.py x.pth --out a file --launcher slurm'
    assert task in output


# A fake srun that sends the script SIGUSR1, and ends when it gets it back.
PREEMPTED = "#!/bin/sh\ntrap 'exit 143' USR1\nkill -USR1 $PPID\nwhile :; do sleep 0.1; done\n"


@pytest.mark.parametrize(('state', 'is_requeued'), [('RUNNING', True), ('CANCELLED', False)])
def test_a_preempted_slurm_job_is_queued_again_unless_it_was_cancelled(
    state, is_requeued, tmp_path
):
    """slurm's programs are fakes."""
    programs = {'srun': PREEMPTED, 'scontrol': '#!/bin/sh\necho "$*"\n'}
    for name, text in {**programs, 'squeue': f'#!/bin/sh\necho {state}\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    script = [TOOLS / 'slurm_train.sh', 'part', 'name', 'config.py', 'work_dir']
    path = f'{tmp_path}:{os.environ["PATH"]}'
    output = call_in_shell('', *script, fails=True, PATH=path, SLURM_JOB_ID='7')
    assert ('requeue 7' in output) == is_requeued


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh', 'dist_smoke.sh']
)
def test_launcher_without_arguments_prints_its_usage(script):
    assert f'{script} ' in call_in_shell('', TOOLS / script, 'config.py', fails=True)
