"""Rows of the GPU's report: what fails or has no time costs its own row alone."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from .. import programs
from ..models.fake_cuda import facts
from . import families, steps
from .run import ENDS


def test_a_case_that_fails_hangs_or_has_no_time_left_is_told_in_its_row(capfd, monkeypatch):
    def fails(*_):
        raise TypeError('NoneType takes no arguments')

    def hangs(*_):
        raise subprocess.TimeoutExpired('train', 20)

    def is_cut(*_):
        monkeypatch.setenv(ENDS, str(time.time() + 1))
        hangs()

    told = [families.tell(run, 'config', 'way') for run in (lambda *_: (True, 'a|b'), fails, hangs, is_cut)]
    assert [*told, families.tell(fails, 'config', 'way')] == [True, False, False, None, None]
    ok, failed, *_, left_out = capfd.readouterr().out.splitlines()
    assert ok == r'| config | way | ok | a\|b |'
    assert failed == '| config | way | **FAILED** | TypeError: NoneType takes no arguments |'
    assert 'no time was left' in left_out


def test_a_command_that_hangs_is_ended_and_one_that_fails_says_its_last_words(tmp_path, monkeypatch):
    assert 'no_such_module' in families.failure_of('amp', ['no_such_module', 'command'], tmp_path / 'log')
    monkeypatch.setattr(families, 'SECONDS_OF_A_HANG', 0.5)
    with pytest.raises(subprocess.TimeoutExpired):
        families.failure_of('amp', ['timeit', '-s', 'import time; time.sleep(60)'], tmp_path / 'log')


def test_a_file_that_does_not_import_costs_that_file_and_tests_without_time_are_counted(tmp_path):
    (tmp_path / 'test_broken.py').write_text('import no_such_module')
    (tmp_path / 'test_good.py').write_text('def test_near_float64(): pass')
    command = [sys.executable, '-m', 'tests.gpu.checks', 'cpu', tmp_path]
    for left, counted, said in ((60, '1 | 0 | 0', False), (0, '0 | 0 | 1', True)):
        ended = programs.run(command, os.environ | {ENDS: str(time.time() + left)})
        assert ended.returncode
        assert f'test_near_float64 | {counted} |' in ended.stdout
        assert ('No time was left for 1 more' in ended.stdout) == said


def test_ranges_of_the_profiler_are_not_counted_beside_the_kernels_that_they_span(capfd):
    def event(name, milliseconds, **options):
        span = SimpleNamespace(start=0, end=9000 * steps.STEPS)
        own = 1000 * milliseconds * steps.STEPS
        return SimpleNamespace(
            name=name, device_type=DeviceType.CUDA, self_device_time_total=own, time_range=span, **options
        )

    events = [event('kernel', 3, is_user_annotation=False), event('Optimizer.step', 6, is_user_annotation=True)]
    steps.tell('config', (3, 1, 1), SimpleNamespace(events=lambda: events), 'cuda')
    printed = capfd.readouterr().out
    assert '9.0 ms a step, the device busy for 3.0 of them (33%)' in printed
    assert 'Optimizer' not in printed


def test_strides_that_mean_nothing_are_not_compared():
    weights = torch.ones(8, 4, 1, 1)
    assert facts(weights) == facts(weights.as_strided((8, 4, 1, 1), (4, 1, 7, 7)))
    assert facts(weights) != facts(torch.ones(4, 8, 1, 1).transpose(0, 1))
