"""The benchmark measures models alternately in every case; get_flops counts what a step of one
computes.
"""

import re
from functools import partial
from itertools import groupby

import pytest
import torch
from torch import nn

from tools import benchmark, get_flops
from tools.benchmark import Case, build

from .commands import CONFIGS, DEMO

ON_CPU = ['--device', 'cpu', '--rounds', '1']
MODELS = [
    'gcvit:xxtiny@4',
    'gcvit:xxtiny@4+tests.models.gcvit.plain:PlainGCViT',
    'lsa:imagenet-tiny',
    'swin:tiny',
    'convnext:tiny',
    'timm:resnet10t',
    DEMO / 'gcvit_digits_cls.py',
    DEMO / 'mask_rcnn_gcvit_digits.py',
    DEMO / 'upernet_gcvit_digits.py',
    CONFIGS / 'dino.py',  # of mmgcvit, on mmdet's data
    'configs/gcvit_xxt_in1k.py',  # its batch augmentation needs the number of classes
]


def test_models_are_timed_alternately_in_rotating_order():
    """Repeated calls are merged, because a step that is faster than 10 ms is called repeatedly."""
    calls = []
    steps = {name: partial(calls.append, name) for name in 'ab'}
    seconds = benchmark.time_alternately(steps, rounds=2)
    assert [name for name, _ in groupby(calls)] == ['a', 'b', 'a']
    assert [len(times) for times in seconds.values()] == [2, 2]


@pytest.mark.slow
@pytest.mark.parametrize('name', map(str, MODELS))
def test_model_runs_in_every_mode_and_only_training_has_gradients(name):
    model = build(name, (64, 64))
    Case((64, 64), 2, 'infer').prepare(model)()
    assert all(parameter.grad is None for parameter in model.parameters())
    Case((64, 64), 2, 'train').prepare(model)()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert any(gradient.any() for gradient in gradients)


def test_precision_is_applied_to_the_model():
    seen = []
    model = nn.Conv2d(3, 4, 1)
    model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    for precision in ('fp32', 'bf16'):
        Case((32, 32), 1, precision=precision).prepare(model)()
    assert seen == [torch.float32, torch.bfloat16]


def read_rows(printed, family):
    """Return the cells of the rows of a family of models."""
    lines = [line for line in printed.splitlines() if line.startswith(f'| {family}')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]


@pytest.mark.slow
def test_command_prints_a_table_per_case_and_leaves_out_models_that_fail(call):
    options = ['--sizes', '32x48', '--batch', '1', '2', '--no-memory', *ON_CPU]
    code, printed = call(benchmark, 'gcvit:xxtiny@4', 'resnet:50', 'lsa:imagenet-tiny', *options)
    assert code == 0
    assert re.findall(r'^\d x 32x48, infer, fp32, eager, cpu$', printed, re.MULTILINE)
    assert printed.count('resnet:50 left out of') == 2
    _, (_, milliseconds, _, images_per_second, *_) = read_rows(printed, 'lsa')
    assert float(images_per_second) == pytest.approx(2 / (float(milliseconds) / 1000), rel=0.01)
    assert 'no model could run' in call(benchmark, 'resnet:50', *options)[1]


def test_memory_on_a_system_without_proc_is_refused(call, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, 'PEAK_RESET', tmp_path / 'proc')
    code, printed = call(benchmark, 'lsa:imagenet-tiny', *ON_CPU)
    assert code == 1
    assert '/proc, of Linux: --no-memory' in printed


@pytest.mark.slow
def test_first_steps_have_a_row_for_each_model_and_size(call):
    options = ['--first-steps', '--sizes', '64x96', '75x101', '--batch', '2', *ON_CPU]
    _, printed = call(benchmark, 'gcvit:xxtiny@4', 'lsa:imagenet-tiny', *options)
    for family in ('gcvit', 'lsa'):
        (_, size, _, _, no_ratio), (_, other_size, first, later, ratio) = read_rows(printed, family)
        assert (size, no_ratio, other_size) == ('64x96', '', '75x101')
        assert float(ratio) == pytest.approx(float(first) / float(later), abs=0.1)


@pytest.mark.slow
def test_parts_of_a_classifier_sum_to_the_total(call):
    lines = call(get_flops, DEMO / 'gcvit_digits_cls.py', '--shape', 64, 96)[1].splitlines()
    assert lines[0].endswith('gcvit_digits_cls.py, one image of 64x96 px (height x width)')
    rows = read_rows('\n'.join(lines[4:]).replace('*', ''), '')
    names, *columns = zip(*rows, strict=True)
    assert names == ('backbone', 'neck', 'head', 'whole model')
    for column in columns:
        *parts, whole = map(float, column)
        assert whole == pytest.approx(sum(parts), abs=0.02)
        assert whole
    printed = call(get_flops, DEMO / 'mask_rcnn_gcvit_digits.py', '--shape', 60, 90)[1]
    assert 'one image of 64x96 px (height x width), padded to multiples of 32\n' in printed
