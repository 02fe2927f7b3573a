"""The benchmark measures models alternately in every case and prints a table."""

import re
from functools import partial

import pytest
import torch
from torch import nn

from mmgcvit.mmdet_fixes import DINO
from tools import benchmark
from tools.benchmark import Case, build, make_batch, time_alternately

from ..conftest import ROOT

PLAIN = 'gcvit:xxtiny@4+tests.models.gcvit.plain:PlainGCViT'
DEMO = ROOT / 'configs' / 'demo'


def test_models_are_timed_alternately_in_rotating_order():
    """Repeated calls are merged, because a step that is faster than 10 ms is called repeatedly."""
    calls = []
    steps = {name: partial(calls.append, name) for name in 'ab'}
    seconds = time_alternately(steps, rounds=2)
    assert [name for name, before in zip(calls, [None, *calls], strict=False) if name != before] == ['a', 'b', 'a']
    assert all(len(times) == 2 for times in seconds.values())


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['infer', 'train'])
@pytest.mark.parametrize(
    'name',
    [
        *('gcvit:xxtiny@4', PLAIN, 'lsa:imagenet-tiny', 'swin:tiny', 'convnext:tiny', 'timm:resnet10t'),
        *(str(DEMO / f'{name}.py') for name in ('gcvit_digits_cls', 'mask_rcnn_gcvit_digits', 'upernet_gcvit_digits')),
        str(ROOT / 'configs' / 'gcvit_xxt_in1k.py'),  # whose batch augmentation needs the number of classes
    ],
)
def test_model_runs_in_every_mode_and_only_training_has_gradients(name, mode):
    model = build(name, (64, 64))
    Case((64, 64), 2, mode).prepare(model)()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters()) == (mode == 'train')


def test_a_model_of_mmdet_fixes_gets_a_batch_of_mmdet():
    batch = make_batch(DINO.__new__(DINO), Case((64, 64), 2))
    assert all(len(sample.gt_instances.masks) for sample in batch['data_samples'])


def test_precision_is_applied_to_the_model():
    seen = []
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    for precision in ('fp32', 'bf16'):
        Case((32, 32), 1, precision=precision).prepare(model)()
    assert seen == [torch.float32, torch.bfloat16]


def test_command_prints_a_table_per_case_and_leaves_out_models_that_fail(call):
    options = ['--sizes', '32x48', '--batch', '1', '2', '--rounds', '2', '--device', 'cpu', '--no-memory']
    code, printed = call(benchmark, 'gcvit:xxtiny@4', 'resnet:50', 'lsa:imagenet-tiny', *options)
    assert code == 0
    assert re.findall(r'^\d x 32x48, infer, fp32, eager, cpu$', printed, re.MULTILINE)
    assert printed.count('resnet:50 left out of') == 2
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in printed.splitlines() if '| lsa' in line]
    assert [len(row) for row in rows] == [6, 6]
    assert float(rows[1][3]) == pytest.approx(2 / (float(rows[1][1]) / 1000), rel=0.01)
    code, printed = call(benchmark, 'resnet:50', *options)
    assert code == 1
    assert 'no model could run' in printed


def test_first_steps_have_a_row_for_each_model_and_size(call):
    options = ['--first-steps', '--sizes', '64x96', '75x101', '--rounds', '1', '--device', 'cpu', '--batch', '2']
    code, printed = call(benchmark, 'gcvit:xxtiny@4', 'lsa:imagenet-tiny', *options)
    assert code == 0
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in printed.splitlines() if ':' in line]
    cells = [row for row in rows if len(row) == 5]
    assert [row[:2] for row in cells] == [
        [name, size] for name in ('gcvit:xxtiny@4', 'lsa:imagenet-tiny') for size in ('64x96', '75x101')
    ]
    assert [bool(row[-1]) for row in cells] == [False, True] * 2
    assert float(cells[1][4]) == pytest.approx(float(cells[1][2]) / float(cells[1][3]), abs=0.1)


@pytest.mark.long
def test_training_has_a_higher_peak_memory_than_inference(call):
    options = ['--sizes', '224', '--rounds', '1', '--modes', 'infer', 'train', '--device', 'cpu']
    _, printed = call(benchmark, 'gcvit:xxtiny', *options)
    infer, train = (int(line.split('|')[-2]) for line in printed.splitlines() if line.startswith('| gcvit'))
    assert 10 < infer < train
