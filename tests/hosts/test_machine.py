"""A GPU is used or refused, never lost; operators that do not fit torch or the GPU are refused by name."""

import os
import re
import sys

import pytest
import torch
from mmengine.config import Config

from mmgcvit.commands.main import run_command
from mmgcvit.errors import UserError
from mmgcvit.hosts.machine import (
    NAMING_VARIABLES,
    are_hidden,
    check_gpus,
    say_that_the_cpu_is_used,
    signs_of_gpus,
    use_cpu,
    use_gpus,
)
from mmgcvit.ops.compiled import check_operators, check_operators_load

NO_LISTER = ('a-command-that-there-is-not',)


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


def test_device_files_variables_of_schedulers_and_nvidia_smi_tell_of_gpus_and_nothing_else(tmp_path):
    def printing(text, code=0):
        return [sys.executable, '-c', f'print({text!r}); raise SystemExit({code})']

    # The folder of a driver's capabilities and an unrelated file say nothing of a GPU.
    (tmp_path / 'nvidia-caps').mkdir()
    (tmp_path / 'nvidiactl').touch()
    variables = ('SLURM_JOB_GPUS=0', 'SLURM_STEP_GPUS=2,3', 'SLURM_GPUS_ON_NODE=8', 'CUDA_VISIBLE_DEVICES=GPU-8932f937')
    for variable in variables:
        assert signs_of_gpus(dict([variable.split('=')]), tmp_path, NO_LISTER) == [variable]
    of_none = {'SLURM_GPUS_ON_NODE': '0', 'SLURM_JOB_GPUS': '', 'PATH': '/bin'}
    for lister in (NO_LISTER, printing('No devices were found'), printing('NVIDIA-SMI has failed', code=9)):
        assert signs_of_gpus(of_none, tmp_path, lister) == []
    lister = printing('GPU 0: NVIDIA H200 (UUID: GPU-c0ffee)')
    assert signs_of_gpus({}, tmp_path, lister) == ['nvidia-smi: GPU 0: NVIDIA H200']
    for name in ('nvidia0', 'nvidia1'):
        (tmp_path / name).touch()
    assert signs_of_gpus({}, tmp_path, NO_LISTER) == [str(tmp_path / 'nvidia0'), str(tmp_path / 'nvidia1')]


def test_the_gpus_are_hidden_as_cuda_understands_it():
    hidden = ('-1', '', ' ', '-1,0', 'NoDevFiles')
    assert [value for value in (*hidden, '0', '0,-1') if are_hidden({'CUDA_VISIBLE_DEVICES': value})] == [*hidden]
    assert not are_hidden({})


TOO_OLD = 'The NVIDIA driver on your system is too old (found version 12020). Please update\nyour GPU driver'


REASONS = [
    (TOO_OLD, RuntimeError, 'Update the driver, or take the installation that goes with it: docs/installation.md'),
    ('Torch not compiled with CUDA enabled', AssertionError, 'Install a torch with CUDA'),
    ('Found no NVIDIA driver on your system. Please check', RuntimeError, 'Install the driver'),
    ('No CUDA GPUs are available', RuntimeError, 'Ask the scheduler for GPUs'),
    ('CUDA unknown error - this may be due to', RuntimeError, 'Look at what nvidia-smi says'),
    ('', MemoryError, 'MemoryError'),
]


def test_torchs_reason_and_what_to_do_are_said_in_one_line(machine):
    for reason, error, advice in REASONS:
        machine(reason, error, SLURM_JOB_GPUS='0,1')
        with pytest.raises(UserError, match=r'SLURM_JOB_GPUS=0,1 there is a GPU on .*, but torch .* cannot') as refused:
            check_gpus()
        for part in (' '.join(reason.split()), advice, 'CUDA_VISIBLE_DEVICES=-1'):
            assert part in str(refused.value)
        assert '\n' not in str(refused.value)


def test_who_hides_the_gpus_or_has_none_gets_the_cpu_and_one_that_torch_can_use_is_not_looked_for(machine, monkeypatch):
    for value in ('-1', ''):
        machine(SLURM_JOB_GPUS='0', CUDA_VISIBLE_DEVICES=value)
        check_gpus()
    machine(CUDA_VISIBLE_DEVICES='0')
    with monkeypatch.context() as other:
        other.setattr('mmgcvit.hosts.machine.signs_of_gpus', list)
        check_gpus()
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    check_gpus()


COMMANDS = {
    'train': ['tests/data/configs/classify.py'],
    'test': ['configs/demo/gcvit_digits_cls.py'],
    'launch': ['2', 'train', 'tests/data/configs/classify.py'],
}


@pytest.mark.parametrize('command', COMMANDS)
def test_a_command_refuses_before_anything_else_and_takes_the_option_for_the_cpu(command, machine, monkeypatch):
    machine(CUDA_VISIBLE_DEVICES='0')
    monkeypatch.setattr(sys, 'argv', [command, *COMMANDS[command]])
    with pytest.raises(SystemExit, match=r'CUDA_VISIBLE_DEVICES=0 there is a GPU on .* cannot use it'):
        run_command(command)
    if command != 'launch':
        monkeypatch.setattr(sys, 'argv', [command, *COMMANDS[command], '--device', 'cpu', '--cfg-options', 'xyzzy=1'])
        with pytest.raises(SystemExit, match="has no 'xyzzy'"):
            run_command(command)
        assert os.environ['CUDA_VISIBLE_DEVICES'] == '-1'


def test_where_cuda_has_found_gpus_already_the_command_begins_anew(machine, monkeypatch):
    """CUDA looks at the variable once, and mmengine has asked it while it was imported."""
    machine(CUDA_VISIBLE_DEVICES='0')
    called = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(os, 'execv', lambda *arguments: called.append(arguments))
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', 'config.py', '--device', 'cpu'])
    for _ in range(2):
        use_cpu('train')
        assert os.environ['CUDA_VISIBLE_DEVICES'] == '-1'
    for visible in ('0', None) * 2:
        # A program of the user's, which is no command: as it was, so that a second call is refused too.
        machine(CUDA_VISIBLE_DEVICES='0')
        if visible is None:
            monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
        with pytest.raises(UserError, match='begin it with CUDA_VISIBLE_DEVICES=-1'):
            use_cpu(None)
        assert os.environ.get('CUDA_VISIBLE_DEVICES') == visible
    command = [sys.executable, '-m', 'mmgcvit', 'train', 'config.py', '--device', 'cpu']
    assert called == [(sys.executable, command)]


def test_of_several_gpus_the_named_one_is_seen_alone_and_one_that_is_not_there_is_refused(machine, monkeypatch):
    called = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(os, 'execv', lambda *arguments: called.append(arguments[1][2:]))
    monkeypatch.setattr(sys, 'argv', ['mmgcvit train', 'config.py', '--device', 'cuda:1'])
    for visible, seen in (('', '1'), ('4, 7', '7')):
        machine(CUDA_VISIBLE_DEVICES=visible)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
        use_gpus('train', 'cuda:1')
        # What the call that follows asks for, among those that are left.
        assert called.pop() == ['mmgcvit', 'train', 'config.py', '--device', 'cuda:1', '--device', 'cuda']
        assert os.environ['CUDA_VISIBLE_DEVICES'] == seen
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
        for device in ('cuda', 'auto', 'cuda:0'):
            use_gpus('train', device)
        assert (called, os.environ['CUDA_VISIBLE_DEVICES']) == ([], seen)
    with pytest.raises(UserError, match='sees 1 GPUs'):
        use_gpus('train', 'cuda:1')
    with pytest.raises(UserError, match='each of several processes takes another GPU'):
        use_gpus('train', 'cuda:0', 'slurm')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr('mmgcvit.hosts.machine.signs_of_gpus', list)
    for command in COMMANDS:
        with pytest.raises(SystemExit, match=f'{command}: device cuda: torch .* sees no GPU here; take auto or cpu'):
            run_command(command, [*COMMANDS[command], '--device', 'cuda'])


def test_several_processes_on_the_cpu_are_one_loud_line(machine, capsys):
    for environment, words in (
        ({}, 'There is no GPU here'),
        ({'CUDA_VISIBLE_DEVICES': '-1'}, r'The GPUs are hidden \(CUDA_VISIBLE_DEVICES=-1\)'),
    ):
        machine(**environment)
        say_that_the_cpu_is_used(8)
        assert re.fullmatch(f'{words}: 8 processes run on the CPU.*\n', capsys.readouterr().err)


def test_operators_compiled_without_cuda_are_refused_where_a_detector_needs_them_on_a_gpu(monkeypatch):
    monkeypatch.setattr('mmcv.ops.get_compiling_cuda_version', lambda: 'not available')
    for gpu, compiled, scope in ((True, True, 'mmseg'), (True, False, 'mmdet'), (False, True, 'mmdet')):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda gpu=gpu: gpu)
        monkeypatch.setattr('mmgcvit.ops.compiled.are_compiled', lambda compiled=compiled: compiled)
        check_operators(Config({'default_scope': scope}))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr('mmgcvit.ops.compiled.are_compiled', lambda: True)
    with pytest.raises(UserError, match=r'OPERATORS=torchvision.*FORCE_CUDA=1 .*CUDA_VISIBLE_DEVICES=-1'):
        check_operators(Config({'default_scope': 'mmdet'}))


def test_operators_compiled_for_another_torch_are_said_to_be(monkeypatch):
    def import_module(name):
        raise ImportError('_ext.so: undefined symbol: _ZN3c10')

    monkeypatch.setattr('mmgcvit.ops.compiled.are_compiled', lambda: True)
    monkeypatch.setattr('mmgcvit.ops.compiled.import_module', import_module)
    with pytest.raises(UserError, match=r'^[^\n]*do not load beside torch .*undefined symbol.*new environment[^\n]*$'):
        check_operators_load()
