"""Several processes on one node, several nodes and under slurm, all on the CPU: the same results, and a common end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import torch

from mmgcvit.commands.main import run_command
from mmgcvit.engine.processes import free_port

from ..docs.pages import blocks
from ..engine import toy
from ..programs import ROOT, started
from .commands import CONFIGS, TOOLS, call_in_shell, environment_for, evaluate, score

LONG = pytest.mark.long
SECONDS_TO_START, SECONDS_TO_END = 240, 60
# As its manual says: a task for each process, on nodes that are this machine here; signals go to all tasks; with
# --kill-on-bad-exit the others end with the first that fails; the highest code is its own.
SRUN = f"""#!{sys.executable}
import os, signal, subprocess, sys, time
words = sys.argv[1:]
begin = next(i for i, word in enumerate(words) if not word.startswith('-') and words[i - 1] != '-p')
print('srun', *words[:begin], flush=True)
asked = dict(word[2:].split('=', 1) for word in words[:begin] if word.startswith('--') and '=' in word)
tasks, on_each = int(asked['ntasks']), int(asked['ntasks-per-node'])
nodes = -(-tasks // on_each)
job = dict(SLURM_JOB_ID=str(os.getpid()), SLURM_STEP_ID='0', SLURM_NTASKS=str(tasks), SLURM_NNODES=str(nodes))
job |= os.environ | dict(SLURM_NODELIST=f'127.0.0.[1-{{nodes}}]')
started = []
signal.signal(signal.SIGUSR1, lambda number, _: [task.send_signal(number) for task in started])
for rank in range(tasks):
    own = dict(SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank % on_each), SLURM_NODEID=str(rank // on_each))
    started.append(subprocess.Popen(words[begin:], env=job | own))
while any([task.poll() is None for task in started]):
    if asked.get('kill-on-bad-exit') == '1' and any(task.returncode for task in started):
        [task.kill() for task in started]
    time.sleep(0.05)
sys.exit(max(task.returncode if task.returncode >= 0 else 128 - task.returncode for task in started))
"""
SCONTROL = """#!/usr/bin/env bash
case "$1 $2" in
    'show hostnames') seq -f "${3%[*}%g" $(tr -- '-]' '  ' <<< "${3#*[}") ;;
    requeue*) echo "$2" >> "$(dirname "$0")/requeued" ;;
esac
"""


@pytest.fixture
def slurm(tmp_path):
    """An environment in which there are slurm's commands; ``bin/requeued`` lists the jobs that are to run again."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {'PATH': f'{folder}:{os.environ["PATH"]}', 'GPUS': '2', 'CPUS_PER_TASK': '1', 'GRES': ''}


class Started:
    """A command that runs: its output so far, and how it ends."""

    def __init__(self, process, log):
        self.process = process
        self.log = log

    @property
    def output(self):
        return self.log.read_text()

    def wait_until_it_trains(self):
        deadline = time.monotonic() + SECONDS_TO_START
        while '(train)' not in self.output:
            assert time.monotonic() < deadline, self.output[-3000:]
            assert self.process.poll() is None, self.output[-3000:]
            time.sleep(0.2)

    def end(self, timeout=SECONDS_TO_START):
        return self.process.wait(timeout)


@pytest.fixture
def start():
    """Start commands, which the test's end ends."""
    with ExitStack() as running:

        def start(folder, *command, **environment):
            folder.mkdir()
            with (folder / 'output.txt').open('w') as log:
                output = {'stdout': log, 'stderr': subprocess.STDOUT}
                environment = environment_for('', PYTHONPATH=str(ROOT), **environment)
                process = running.enter_context(started(command, environment, **output))
            return Started(process, folder / 'output.txt')

        yield start


def start_nodes(start, folder, script, config, *options):
    """Two nodes of one process each, which are this machine under another address."""
    nodes = {'NNODES': '2', 'MASTER_ADDR': '127.0.0.2', 'PORT': str(free_port())}
    command = [TOOLS / script, config, 1, *options]
    return [start(folder / f'node {n}', *command, **nodes, NODE_RANK=str(n)) for n in (0, 1)]


def process_of_rank(rank, work_dir):
    """The number of the process of a rank, found by its environment and its command line; None where there is none."""
    for process in Path('/proc').glob('[0-9]*'):
        try:
            command, environment = (process / 'cmdline').read_bytes(), (process / 'environ').read_bytes()
        except OSError:
            continue
        if str(work_dir).encode() in command and f'RANK={rank}'.encode() in environment.split(b'\0'):
            return int(process.name)
    return None


def summary_in(output):
    """What torch's launcher says at the end of all processes that have died."""
    return output[output.index('mmgcvit FAILED') :]


def same_as_unbroken(work_dir, folder, settings):
    """Whether a run of two processes has ended with the weights of one that nothing has stopped, to the bit."""
    toy.train_in_two(folder, settings=settings)
    broken, whole = toy.last(work_dir), toy.last(folder)
    assert broken['meta']['iter'] == whole['meta']['iter']
    return all(torch.equal(tensor, whole['state_dict'][name]) for name, tensor in broken['state_dict'].items())


def weights(work_dir):
    checkpoint = torch.load((work_dir / 'last_checkpoint').read_text(), weights_only=False)
    return torch.cat([tensor.flatten() for tensor in checkpoint['state_dict'].values()])


# One step with the learning rate 1, so that the weights change by the gradient.
ONE_STEP = ['train_cfg.max_epochs=1', 'randomness.seed=0', 'custom_hooks.0.type=SyncBuffersHook', 'log_level=INFO']
ONE_STEP += ['param_scheduler=None', 'optim_wrapper.optimizer.type=SGD', 'optim_wrapper.optimizer.lr=1']


@pytest.fixture(scope='module')
def step_of_one_process(tmp_path_factory):
    """The toy's weights after one step on two images, and how far the step led."""
    after, before = tmp_path_factory.mktemp('after'), tmp_path_factory.mktemp('before')
    toy.train(after, settings=ONE_STEP)
    toy.train(before, settings=[*ONE_STEP[:-1], 'optim_wrapper.optimizer.lr=0'])
    return weights(after), (weights(after) - weights(before)).abs().max()


def log_in(work_dir):
    """What mmengine has logged of the only run there."""
    (log,) = work_dir.glob('*/*.log')
    return log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    'launcher', ['one node', pytest.param('two nodes', marks=LONG), pytest.param('slurm', marks=LONG)]
)
def test_a_step_of_two_processes_with_one_image_each_is_that_of_one_process_with_two(
    launcher, step_of_one_process, slurm, start, tmp_path
):
    """What all processes know is said once. Gradients are summed in another order: a few roundings of float32."""
    expected, length = step_of_one_process
    config, work_dir = toy.CONFIG, tmp_path / 'work'
    options = ['--cfg-options', *ONE_STEP, 'train_dataloader.batch_size=1', 'auto_scale_lr.base_batch_size=16']
    if launcher == 'one node':
        output = call_in_shell('', TOOLS / 'dist_train.sh', config, 2, '--work-dir', work_dir, *options)
        assert 'Distributed training: True' in log_in(work_dir)
        assert output.count(': 2 processes run on the CPU') == 1
        assert output.count('made for 16 images a step, and this run has 2: 2 processes x 1 images') == 1
    elif launcher == 'slurm':
        slurm['GPUS_PER_NODE'] = '1'
        call_in_shell('', TOOLS / 'slurm_train.sh', 'gpu', 'job', config, work_dir, *options, **slurm)
        assert 'Distributed launcher: slurm' in log_in(work_dir)
    else:
        for node in start_nodes(start, tmp_path, 'dist_train.sh', config, '--work-dir', work_dir, *options):
            assert node.end() == 0, node.output[-3000:]
    assert length > 0.01
    assert (weights(work_dir) - expected).abs().max() < 1e-5


@LONG
def test_two_processes_test_as_one_does_and_the_first_shows_how_training_gets_on(digits, tmp_path):
    """SyncBN, which has no CPU version, becomes BN by itself. A pixel at a rim is 0.01 of this mIoU."""
    config = CONFIGS / 'segment.py'
    outputs = toy.train_in_two(tmp_path, '--progress', config=config, DIGITS=str(digits))
    validated = re.compile(r'^iteration 2 of 2 validated: .*mIoU \d', re.MULTILINE)
    assert [len(validated.findall(output)) for output in outputs] == [1, 0]
    assert not any('Iter(train)' in output for output in outputs)
    checkpoint = (tmp_path / 'last_checkpoint').read_text()
    tested = call_in_shell(digits, TOOLS / 'dist_test.sh', config, checkpoint, 2, '--work-dir', tmp_path)
    assert score(tested, 'mIoU:') == pytest.approx(score(evaluate(digits, 'segment', tmp_path), 'mIoU:'), abs=0.011)


@pytest.fixture
def job(start, tmp_path):
    """Starts a training of two processes that does not end, on one node or two, and waits until it trains."""

    def job(nodes):
        work_dir = tmp_path / 'work'
        endless = [f'{name}=1000000' for name in ('train_cfg.max_iters', 'train_cfg.val_interval')]
        endless += ['default_hooks.checkpoint.interval=1000000', 'log_level=INFO']
        options = ['--work-dir', work_dir, '--cfg-options', *toy.ITERATIONS, *endless]
        if nodes == 1:
            started = [start(tmp_path / 'node', TOOLS / 'dist_train.sh', toy.CONFIG, 2, *options)]
        else:
            started = start_nodes(start, tmp_path, 'dist_train.sh', toy.CONFIG, *options)
        started[0].wait_until_it_trains()
        return started, work_dir

    return job


def listening_of(process):
    """The addresses that a process and all that it has started can be reached at."""
    launcher = psutil.Process(process.pid)
    connections = [it for each in [launcher, *launcher.children(recursive=True)] for it in each.net_connections()]
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}


@pytest.mark.long
@pytest.mark.parametrize('number', [1, 2])
def test_a_killed_process_ends_the_whole_job_within_a_minute_and_is_named(number, job):
    """Processes of one node can be reached from that node only: torch's store and gloo obey whoever reaches them."""
    nodes, work_dir = job(number)
    if number == 1:
        assert listening_of(nodes[0].process) == {'127.0.0.1'}
    os.kill(process_of_rank(1, work_dir), signal.SIGKILL)
    killed = time.monotonic()
    assert all(node.end(SECONDS_TO_END) != 0 for node in nodes)
    assert time.monotonic() - killed < SECONDS_TO_END
    summary = summary_in(nodes[-1].output)
    assert re.search(r'rank +: 1 ', summary)
    assert 'SIGKILL' in summary
    assert process_of_rank(0, work_dir) is None


@LONG
@pytest.mark.parametrize('number', [1, 2])
def test_a_launcher_that_is_killed_leaves_no_process_behind(number, job):
    """By ``kill -9``, after which it can end nothing itself; on two nodes the other one hears of it."""
    nodes, work_dir = job(number)
    nodes[-1].process.kill()
    deadline = time.monotonic() + SECONDS_TO_END
    # One that is not collected yet has no command line.
    while left := [rank for rank in (0, 1) if process_of_rank(rank, work_dir) is not None]:
        assert time.monotonic() < deadline, f'ranks {left} are still running'
        time.sleep(0.2)
    assert all(node.end(SECONDS_TO_END) != 0 for node in nodes)


@LONG
def test_an_error_in_one_process_ends_the_job_and_its_traceback_is_in_the_summary(tmp_path):
    (tmp_path / 'breaking.py').write_text(
        'import torch.distributed as dist\n'
        'from mmengine.hooks import Hook\n'
        'from mmengine.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class Breaking(Hook):\n'
        '    def after_train_iter(self, *_, **__):\n'
        '        if dist.get_rank() == 1:\n'
        "            raise ZeroDivisionError('the very words')\n"
    )
    config = tmp_path / 'breaks.py'
    config.write_text(
        f'_base_ = {str(toy.CONFIG)!r}\n'
        "custom_imports = dict(imports=['mmgcvit', 'tests.engine.toy', 'tests.checkpoints.toy', 'breaking'])\n"
        "custom_hooks = [dict(type='Breaking')]\n"
    )
    command = [TOOLS / 'dist_train.sh', config, 2, '--work-dir', tmp_path / 'work']
    output = call_in_shell('', *command, fails=True, PYTHONPATH=f'{tmp_path}:{ROOT}')
    summary = summary_in(output)
    assert 'ZeroDivisionError: the very words' in summary
    assert 'in after_train_iter' in summary
    assert re.search(r'rank +: 1 ', summary)


def test_slurm_is_asked_for_what_the_environment_says(slurm, tmp_path):
    (tmp_path / 'python').write_text('#!/usr/bin/env bash\necho "task $SLURM_PROCID: $OMP_NUM_THREADS threads: $*"\n')
    (tmp_path / 'python').chmod(0o755)
    asked = {**slurm, 'GPUS': '4', 'GPUS_PER_NODE': '2', 'CPUS_PER_TASK': '3', 'SRUN_ARGS': '--time=60 --exclusive'}
    asked |= {'PYTHON': str(tmp_path / 'python'), 'OMP_NUM_THREADS': ''}
    del asked['GRES']
    script = [TOOLS / 'slurm_test.sh', 'part', 'name', CONFIGS / 'detect.py', 'x.pth', '--work-dir', 'a folder']
    output = call_in_shell('', *script, **asked)
    assert (
        'srun -p part --job-name=name --gres=gpu:2 --ntasks=4 --ntasks-per-node=2 --cpus-per-task=3 '
        '--kill-on-bad-exit=1 --time=60 --exclusive\n'
    ) in output
    assert f'task 3: 3 threads: -u {TOOLS}/test.py {CONFIGS}/detect.py x.pth --work-dir a folder' in output
    assert output.count('--launcher slurm') == 4


def test_who_asks_slurm_for_no_gpus_gets_the_cpu_also_on_a_node_that_shows_some(slurm, tmp_path):
    (tmp_path / 'python').write_text('#!/usr/bin/env bash\necho "GPUs: $CUDA_VISIBLE_DEVICES"\n')
    (tmp_path / 'python').chmod(0o755)
    script = [TOOLS / 'slurm_train.sh', 'part', 'name', CONFIGS / 'detect.py', 'w']
    for asked, hidden in ({}, '0'), ({'GRES': ''}, '-1'), ({'GRES': '', 'SRUN_ARGS': '--gpus-per-task=1'}, '0'):
        environment = {**slurm, 'CUDA_VISIBLE_DEVICES': '0', 'PYTHON': str(tmp_path / 'python'), **asked}
        if 'GRES' not in asked:
            del environment['GRES']
        assert call_in_shell('', *script, **environment).count(f'GPUs: {hidden}\n') == 2, asked


@LONG
def test_the_batch_script_of_the_page_is_queued_again_when_it_was_warned_and_goes_on(slurm, tmp_path):
    (script,) = (block.text for block in blocks('bash') if '#SBATCH' in block.text)
    assert '--signal=B:USR1@' in script, 'it is the script that is signalled'
    settings = [*toy.ITERATIONS, 'train_dataloader.batch_size=1', 'randomness.seed=0']
    own = {
        'GPUS=16 GPUS_PER_NODE=8': 'GPUS=2 GPUS_PER_NODE=1',
        'configs/cascade_gcvit_b.py': str(toy.CONFIG),
        'work_dirs/cascade_gcvit_b': str(tmp_path / 'work'),
        'train_dataloader.batch_size=1': ' '.join(settings),
    }
    for theirs, ours in own.items():
        assert theirs in script
        script = script.replace(theirs, ours)
    (tmp_path / 'batch.sh').write_text(script)
    requeued = tmp_path / 'bin' / 'requeued'
    # Preemption signals the tasks alone, which end together and before the script hears of it.
    call_in_shell('', 'bash', tmp_path / 'batch.sh', fails=True, **slurm, SLURM_JOB_ID='123', WARNED='SIGTERM@1')
    assert requeued.read_text() == '123\n'
    # The script's shell is the process that is known before it begins.
    command = ['bash', '-c', f'export WARNED_PROCESS=$$; exec bash {tmp_path}/batch.sh']
    call_in_shell('', *command, fails=True, **slurm, SLURM_JOB_ID='123', WARNED='SIGUSR1@3/0')
    assert requeued.read_text() == 2 * '123\n'
    assert 3 <= toy.last(tmp_path / 'work')['meta']['iter'] < 6
    call_in_shell('', *command, **slurm, SLURM_JOB_ID='123', SLURM_RESTART_COUNT='1')
    assert requeued.read_text() == 2 * '123\n', 'not once more'
    assert same_as_unbroken(tmp_path / 'work', tmp_path / 'whole', settings)


@LONG
def test_torchrun_starts_again_what_was_killed_which_goes_on_from_its_last_checkpoint(tmp_path):
    settings = [*toy.ITERATIONS, 'train_dataloader.batch_size=1', 'randomness.seed=0']
    (text,) = (block.text for block in blocks('bash') if '--max-restarts' in block.text)
    variable, line = text.splitlines()
    name, value = variable.split()[1].split('=')
    _, *options = line.replace('--nproc-per-node 8', '--standalone --nproc-per-node 2').split()
    config = next(word for word in options if word.endswith('.py'))
    options[options.index(config)] = toy.CONFIG
    command = [sys.executable, '-m', 'torch.distributed.run', *options, '--work-dir', tmp_path / 'work']
    output = call_in_shell('', *command, '--cfg-options', *settings, WARNED='SIGKILL@4/1', **{name: value})
    assert output.count('exitcode: ') == output.count('exitcode: -9') == 1, 'one start more'
    assert f'--resume: the newest whole checkpoint is {tmp_path}/work/iter_2.pth' in output
    assert same_as_unbroken(tmp_path / 'work', tmp_path / 'whole', settings)


CONFIG = str(CONFIGS / 'detect.py')
SLURM = ['slurm_train.sh', 'part', 'name', CONFIG, 'w']
# What the scripts find: the sentence, the command and its environment.
MISTAKES = {
    r'usage: .*dist_train.sh CONFIG GPUS': (['dist_train.sh'], {}),
    r'usage: .*dist_test.sh CONFIG CHECKPOINT GPUS': (['dist_test.sh', 'config.py', '2'], {}),
    r'usage: .*slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR': (SLURM[:-1], {}),
    "must be whole numbers of 1 or more, not '2x'": (SLURM, {'GPUS': '2x'}),
    'GPUS_PER_NODE=8 is more than GPUS=2': (SLURM, {'GPUS': '2', 'GPUS_PER_NODE': '8'}),
    r'there is no config no\.py': ([*SLURM[:3], 'no.py', 'w'], {}),
    'there is no srun here': (SLURM, {}),
    r'CUDA_VISIBLE_DEVICES=99 there is a GPU on .*, but torch .* cannot use it: .* CUDA_VISIBLE_DEVICES=-1': (
        ['dist_train.sh', CONFIG, '2'],
        {'CUDA_VISIBLE_DEVICES': '99'},
    ),
}


def test_a_mistake_in_the_call_is_answered_in_one_sentence():
    for message, (command, environment) in MISTAKES.items():
        output = call_in_shell('', TOOLS / command[0], *command[1:], fails=True, **environment)
        assert re.search(message, output)
        assert len(output.splitlines()) == 1


def test_a_port_that_is_taken_is_named(monkeypatch):
    with socket.socket() as other:
        other.bind(('', 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv('PORT', str(port))
        with pytest.raises(SystemExit, match=rf'PORT={port} cannot be used \(Address already in use\)'):
            run_command('launch', ['2', 'train', CONFIG])
