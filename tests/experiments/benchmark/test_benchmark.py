"""The benchmark measures what it says: turns, memory, slopes, work; and its command line writes its reports."""

import json
import sys
from functools import partial

import pytest
import torch
from benchmarking import (
    Case,
    Mode,
    Precision,
    Series,
    Timing,
    build_contestant,
    peak_memory,
    profile_layers,
    time_side_by_side,
)
from torch import nn

from ...tools.commands import TOOLS, call, call_in_shell

SMALL = Case((64, 64), 2)


def test_models_take_turns_and_the_first_changes():
    calls = []
    steps = {name: partial(calls.append, name) for name in 'abc'}
    timings = time_side_by_side(steps, rounds=2, warmup=1)
    assert ''.join(calls) == 'abc' + 'abc' + 'bca'
    assert all(len(timing.seconds) == 2 for timing in timings.values())


def test_ratios_compare_within_rounds():
    """A machine that is slow for one round is slow for both: that round's ratio still counts as it is."""
    fast, slow = Timing((1.0, 10.0, 1.0)), Timing((2.0, 20.0, 3.0))
    assert fast.ratio_to(slow) == 0.5
    assert slow.ratio_to(fast) == 2.0
    assert fast.median == 1.0


def test_the_slope_of_a_power_is_its_exponent():
    sizes = [256**2, 512**2, 1024**2]
    assert Series('linear', sizes, [3.0 * size for size in sizes]).slope == pytest.approx(1)
    assert Series('square', sizes, [size**2.0 for size in sizes]).slope == pytest.approx(2)


class Hungry(nn.Module):
    """Takes that many megabytes in its forward pass."""

    def __init__(self, megabytes):
        super().__init__()
        self.megabytes = megabytes
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return (torch.ones(self.megabytes, 1 << 18).sum() * self.weight + images,)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_peak_memory_is_what_steps_add():
    assert 190 < peak_memory(partial(Hungry, 200), SMALL) / (1 << 20) < 260


@pytest.mark.parametrize('name', ['gcvit:xxtiny', 'gcvit:xxtiny@4', 'swin:tiny', 'convnext:tiny', 'lsa:imagenet-tiny'])
@pytest.mark.parametrize('mode', Mode)
def test_contestants_do_every_case(name, mode):
    model = build_contestant(name, SMALL.size)
    Case(SMALL.size, 1, mode).prepare(model)()
    assert model.training == (mode is Mode.TRAIN)
    assert any(p.grad is not None and p.grad.any() for p in model.parameters()) == (mode is Mode.TRAIN)


def test_a_contestant_that_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"no model 'resnet:50'.*gcvit:\.\.\."):
        build_contestant('resnet:50', (64, 64))


@pytest.mark.parametrize('name', ['convnext:tiny@7', 'timm:gcvit_tiny@7'])
def test_windows_of_a_model_that_takes_none_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' sets windows, which only gcvit, lsa, swin"):
        build_contestant(name, (64, 64))


def test_precision_reaches_the_model():
    seen = []
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    for precision in (Precision.FP32, Precision.BF16):
        Case((32, 32), 1, precision=precision).prepare(model)()
    assert seen == [torch.float32, torch.bfloat16]


def test_layers_are_counted_and_their_work_with_them():
    """Multiply-adds of the products, by hand: two for each weight and place."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1, groups=8))
    costs = profile_layers(model, Case((16, 16), 2))
    assert costs['Conv2d, 3x3'].flops == 2 * 2 * 16 * 16 * 8 * 3 * 9
    assert costs['Conv2d, depthwise'].flops == 2 * 2 * 16 * 16 * 8 * 9
    assert costs['GELU'].bytes == 2 * 2 * 8 * 16 * 16 * 4
    assert costs['Conv2d, 3x3'].seconds > 0


def test_layers_that_are_called_by_keyword_are_counted_too():
    """mmpretrain's ConvNeXt tells its norms by keyword where channels are."""
    assert profile_layers(build_contestant('convnext:tiny', (64, 64)), Case((64, 64), 1))['LayerNorm2d'].seconds > 0


def test_attention_is_counted_by_its_shapes():
    costs = profile_layers(build_contestant('gcvit:xxtiny@4', (64, 64)), Case((64, 64), 1))
    # Stage 0 has 16 windows in a map of 16x16, half as many a side in each next one; 2, 2, 6 and 2 blocks.
    windows = {0: 16, 1: 4, 2: 1, 3: 1}
    heads = {0: 2, 1: 4, 2: 8, 3: 16}
    blocks = {0: 2, 1: 2, 2: 6, 3: 2}
    assert costs['attention'].flops == sum(4 * windows[i] * heads[i] * 16 * 16 * 32 * blocks[i] for i in range(4))


MODELS = ('gcvit:xxtiny@4', 'plain:gcvit:xxtiny@4')
COMMANDS = {
    'compare': ('compare', *MODELS, '--sizes', '48x64', '--modes', 'infer', 'train', '--rounds', '2'),
    'sizes': ('sizes', *MODELS, '--sides', '32', '64', '--rounds', '1'),
    'batches': ('batches', *MODELS, '--size', '32', '--batches', '1', '2', '--mode', 'train', '--rounds', '1'),
    'layers': ('layers', *MODELS, '--size', '32'),
}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize('name', COMMANDS)
def test_the_command_line_writes_a_table_and_its_data(name, tmp_path):
    output = call('', TOOLS / 'benchmark.py', *COMMANDS[name], '--device', 'cpu', '--threads', 1, '--out', tmp_path)
    written = (tmp_path / f'{name}.md').read_text()
    assert all(f'{model}' in output and f'{model}' in written for model in MODELS)
    assert 'torch' in json.loads((tmp_path / f'{name}.json').read_text())['machine']
    assert name == 'layers' or (tmp_path / f'{name}.png').stat().st_size > 5000


@pytest.mark.slow
def test_a_model_that_cannot_do_a_case_is_named_and_left_out(tmp_path):
    """In a process of its own."""
    command = [sys.executable, TOOLS / 'benchmark.py', 'compare', *MODELS[:1], 'timm:none_such', '--sizes', '32']
    output = call_in_shell('', *command, '--rounds', '1', '--no-memory', '--out', tmp_path)
    assert 'timm:none_such left out' in output
    assert 'timm:none_such' not in (tmp_path / 'compare.md').read_text().partition('\n\n')[2]
