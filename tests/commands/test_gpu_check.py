"""A GPU is used or refused, never lost: what tells of one, what is said, and how the CPU is asked for."""

import os
import re
import subprocess
import sys

import pytest
import torch

from mmgcvit.commands import launch
from mmgcvit.commands.main import run_command
from mmgcvit.hosts.machine import (
    NAMING_VARIABLES,
    are_hidden,
    check_gpus,
    say_that_the_cpu_is_used,
    signs_of_gpus,
    use_cpu,
)

TOO_OLD = (
    'The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver by downloading '
    'and installing a new\nversion from the URL: http://www.nvidia.com/Download/index.aspx'
)
NO_LISTER = ('a-command-that-there-is-not',)


def printing(text, code=0):
    """A command that stands for nvidia-smi."""
    return [sys.executable, '-c', f'print({text!r}); raise SystemExit({code})']


@pytest.fixture
def machine(monkeypatch):
    """A machine where torch cannot use a GPU: sets its environment, and why."""
    for name in NAMING_VARIABLES:
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)

    def set_up(reason='No CUDA GPUs are available', error=RuntimeError, **environment):
        def init():
            raise error(reason)

        monkeypatch.setattr(torch.cuda, 'init', init)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    set_up()
    return set_up


def refusal():
    with pytest.raises(SystemExit) as refused:
        check_gpus()
    message = str(refused.value)
    assert '\n' not in message
    return message


class TestSigns:
    """What tells that there is a GPU; nothing of it needs one."""

    def signs(self, tmp_path, environment=None, lister=NO_LISTER):
        return signs_of_gpus(environment or {}, tmp_path, lister)

    def test_a_machine_without_gpus_has_none(self, tmp_path):
        # The folder of a driver's capabilities and an unrelated file say nothing of a GPU.
        (tmp_path / 'nvidia-caps').mkdir()
        (tmp_path / 'nvidiactl').touch()
        assert self.signs(tmp_path, {'SLURM_GPUS_ON_NODE': '0', 'SLURM_JOB_GPUS': '', 'PATH': '/bin'}) == []

    def test_device_files_are_named(self, tmp_path):
        (tmp_path / 'nvidia0').touch()
        (tmp_path / 'nvidia1').touch()
        assert self.signs(tmp_path) == [str(tmp_path / 'nvidia0'), str(tmp_path / 'nvidia1')]

    @pytest.mark.parametrize(
        ('name', 'value'),
        [
            ('SLURM_JOB_GPUS', '0'),
            ('SLURM_STEP_GPUS', '2,3'),
            ('SLURM_GPUS_ON_NODE', '8'),
            ('CUDA_VISIBLE_DEVICES', '0,1'),
            ('CUDA_VISIBLE_DEVICES', 'GPU-8932f937'),
        ],
    )
    def test_variables_of_schedulers_are_named(self, name, value, tmp_path):
        assert self.signs(tmp_path, {name: value}) == [f'{name}={value}']

    def test_what_nvidia_smi_lists_is_named(self, tmp_path):
        lister = printing('GPU 0: NVIDIA H200 (UUID: GPU-c0ffee)')
        assert self.signs(tmp_path, lister=lister) == ['nvidia-smi: GPU 0: NVIDIA H200']

    @pytest.mark.parametrize(
        'lister', [NO_LISTER, printing('No devices were found'), printing('NVIDIA-SMI has failed', code=9)]
    )
    def test_an_nvidia_smi_that_finds_nothing_says_nothing(self, lister, tmp_path):
        assert self.signs(tmp_path, lister=lister) == []


@pytest.mark.parametrize(
    ('value', 'hidden'),
    [('-1', True), ('', True), (' ', True), ('-1,0', True), ('NoDevFiles', True), ('0', False), ('0,-1', False)],
)
def test_the_gpus_are_hidden_as_cuda_understands_it(value, hidden):
    assert are_hidden({'CUDA_VISIBLE_DEVICES': value}) == hidden


def test_gpus_that_no_variable_mentions_are_not_hidden():
    assert not are_hidden({})


class TestCheck:
    def test_torchs_reason_and_what_to_do_are_said_in_one_line(self, machine):
        machine(TOO_OLD, SLURM_JOB_GPUS='0,1')
        message = refusal()
        assert 'SLURM_JOB_GPUS=0,1 there is a GPU on' in message
        assert ' '.join(TOO_OLD.split()) in message
        assert 'Update the driver, or take the installation that goes with it: docs/installation.md' in message
        assert 'CUDA_VISIBLE_DEVICES=-1' in message

    @pytest.mark.parametrize(
        ('reason', 'error', 'advice'),
        [
            ('Torch not compiled with CUDA enabled', AssertionError, 'Install a torch with CUDA'),
            ('Found no NVIDIA driver on your system. Please check', RuntimeError, 'Install the driver'),
            ('No CUDA GPUs are available', RuntimeError, 'Ask the scheduler for GPUs'),
            ('CUDA unknown error - this may be due to', RuntimeError, 'Look at what nvidia-smi says'),
            ('', MemoryError, 'MemoryError'),
        ],
    )
    def test_every_reason_of_torch_is_passed_on_with_advice(self, reason, error, advice, machine):
        machine(reason, error, CUDA_VISIBLE_DEVICES='0')
        message = refusal()
        assert reason in message
        assert advice in message

    @pytest.mark.parametrize('value', ['-1', ''])
    def test_who_hides_the_gpus_gets_the_cpu(self, value, machine):
        machine(SLURM_JOB_GPUS='0', CUDA_VISIBLE_DEVICES=value)
        check_gpus()

    @pytest.mark.usefixtures('machine')
    def test_a_machine_without_gpus_gets_the_cpu(self, monkeypatch):
        monkeypatch.setattr('mmgcvit.hosts.machine.signs_of_gpus', list)
        check_gpus()

    def test_a_gpu_that_torch_can_use_is_not_looked_for(self, machine, monkeypatch):
        machine(SLURM_JOB_GPUS='0')
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        check_gpus()


COMMANDS = {
    'train': ['train', 'no.py'],
    'test': ['test', 'no.py', 'no.pth'],
    'launch': ['launch', '2', 'train', 'tests/data/configs/classify.py'],
}


class TestCommands:
    @pytest.mark.parametrize('command', COMMANDS)
    def test_training_testing_and_the_launcher_refuse_before_anything_else(self, command, machine, monkeypatch):
        machine(CUDA_VISIBLE_DEVICES='0')
        monkeypatch.setattr(sys, 'argv', COMMANDS[command])
        with pytest.raises(
            SystemExit, match=r'CUDA_VISIBLE_DEVICES=0 there is a GPU on .*, but torch .* cannot use it'
        ):
            run_command(command)

    @pytest.mark.parametrize('command', ['train', 'test'])
    def test_the_option_for_the_cpu_is_taken(self, command, machine, monkeypatch):
        machine(CUDA_VISIBLE_DEVICES='0')
        monkeypatch.setattr(sys, 'argv', [*COMMANDS[command], '--device', 'cpu'])
        with pytest.raises(SystemExit, match=r'there is no config no\.py'):
            run_command(command)
        assert os.environ['CUDA_VISIBLE_DEVICES'] == '-1'

    def test_the_launcher_takes_the_option_for_the_cpu_and_passes_it_on(self, machine, monkeypatch):
        machine(CUDA_VISIBLE_DEVICES='0')
        called = []
        ended = subprocess.CompletedProcess((), 0)
        ended.wait = lambda: None
        monkeypatch.setattr(launch, 'start', lambda *given: called.append(given) or ended)
        monkeypatch.setattr(sys, 'argv', [*COMMANDS['launch'], '--device=cpu'])
        with pytest.raises(SystemExit):
            run_command('launch')
        ((options, environment),) = called
        assert environment['CUDA_VISIBLE_DEVICES'] == '-1'
        assert '--device=cpu' in options


class TestAskingForTheCpu:
    def test_where_cuda_has_found_gpus_already_the_command_begins_anew(self, machine, monkeypatch):
        """CUDA looks at the variable once, and mmengine has asked it while it was imported."""
        machine(CUDA_VISIBLE_DEVICES='0')
        called = []
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        monkeypatch.setattr(os, 'execv', lambda *arguments: called.append(arguments))
        monkeypatch.setattr(sys, 'argv', ['tools/train.py', 'config.py', '--device', 'cpu'])
        use_cpu('train')
        command = [sys.executable, '-m', 'mmgcvit', 'train', 'config.py', '--device', 'cpu']
        assert called == [(sys.executable, command)]
        assert os.environ['CUDA_VISIBLE_DEVICES'] == '-1'
        use_cpu('train')
        assert len(called) == 1


@pytest.mark.parametrize(
    ('value', 'words'), [('-1', r'The GPUs are hidden \(CUDA_VISIBLE_DEVICES=-1\)'), (None, 'There is no GPU here')]
)
def test_several_processes_on_the_cpu_are_one_loud_line(value, words, machine, capsys):
    machine(**({} if value is None else {'CUDA_VISIBLE_DEVICES': value}))
    say_that_the_cpu_is_used(8)
    errors = capsys.readouterr().err
    assert errors.count('\n') == 1
    assert re.match(f'{words}: 8 processes run on the CPU', errors)
