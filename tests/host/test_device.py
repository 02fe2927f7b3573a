"""GPUs that torch cannot use raise errors, as do compiled operators that do not match torch or the
GPU.
"""

import os
import sys

import pytest
import torch

from mmgcvit.commands.main import run_command
from mmgcvit.engine.setup import check_machine
from mmgcvit.errors import UserError
from mmgcvit.host import device as machine
from mmgcvit.host.device import check_gpus, find_gpus, list_cpus, resolve_device


@pytest.fixture
def no_gpu(monkeypatch, tmp_path):
    """Simulate a machine where torch cannot use a GPU and /dev has none; return that folder."""
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)

    def init():
        raise RuntimeError('The NVIDIA driver on your system is too old\n(found version 12020)')

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.cuda, 'init', init)
    monkeypatch.setattr(machine, 'DEVICE_FOLDER', tmp_path)
    monkeypatch.setenv('PATH', str(tmp_path))
    (tmp_path / 'nvidia-caps').mkdir()
    (tmp_path / 'nvidiactl').touch()
    return tmp_path


def test_gpus_are_found_by_device_files_or_nvidia_smi(no_gpu):
    assert find_gpus() == []
    check_gpus()
    lister = no_gpu / 'nvidia-smi'
    lister.write_text('#!/bin/sh\necho "GPU 0: NVIDIA H200 (UUID: GPU-c0ffee)"\n')
    lister.chmod(0o755)
    assert find_gpus() == ['GPU 0: NVIDIA H200']
    (no_gpu / 'nvidia0').touch()
    assert find_gpus() == [str(no_gpu / 'nvidia0')]


def test_unusable_gpu_raises_torchs_error_unless_hidden(no_gpu, monkeypatch):
    (no_gpu / 'nvidia0').touch()
    with pytest.raises(
        UserError, match=r'nvidia0\), but torch .* cannot use it: "The NVIDIA .* too old \(found'
    ) as said:
        check_gpus()
    assert 'CUDA_VISIBLE_DEVICES=-1' in str(said.value)
    for value in ('-1', '', ' ', '-1,0', 'NoDevFiles', '0', '0,-1'):
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', value)
        assert bool(find_gpus()) == value.startswith('0')


@pytest.mark.parametrize(
    ('command', 'config'),
    [('train', 'tests/data/configs/classify.py'), ('test', 'configs/demo/gcvit_digits_cls.py')],
)
def test_command_rejects_unusable_gpu_first_and_accepts_device_cpu(
    command, config, no_gpu, monkeypatch
):
    (no_gpu / 'nvidia0').touch()
    monkeypatch.setattr(sys, 'argv', [])
    with pytest.raises(SystemExit, match=r'There is a GPU here \(.*cannot use it'):
        run_command(command, [config])
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    with pytest.raises(SystemExit, match=r"'xyzzy'"):
        run_command(command, [config, '--device', 'cpu', '--cfg-options', 'xyzzy=1'])
    assert os.environ['CUDA_VISIBLE_DEVICES'] == '-1'
    with pytest.raises(
        SystemExit, match=f'{command}: device cuda: torch .* finds 0 GPUs, .* auto or cpu'
    ):
        run_command(command, [config, '--device', 'cuda'])


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='there are no two GPUs')
def test_a_named_gpu_becomes_torchs_current_device():
    """That a missing one is rejected is tested without a GPU, too (above)."""
    check_machine('cuda:1')
    assert torch.cuda.current_device() == 1


def test_cpus_are_counted_on_systems_that_do_not_say_which_a_process_may_use(monkeypatch):
    assert len(list_cpus()) == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, 'sched_getaffinity')  # as on macOS
    assert len(list_cpus()) == os.cpu_count()


def test_apples_gpus_are_refused_in_one_sentence():
    with pytest.raises(UserError, match=r'device mps: .* not been run .* Use cpu'):
        resolve_device('mps')
