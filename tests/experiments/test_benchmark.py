"""The benchmark measures what it says: turns, memory, slopes, work; in processes of their own; and writes reports."""

import json
import multiprocessing
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from mmgcvit.commands.main import run_command
from mmgcvit.errors import UserError
from mmgcvit.experiments import benchmark
from mmgcvit.experiments.benchmark import Case, Series, build
from mmgcvit.experiments.benchmark_layers import profile_layers
from mmgcvit.experiments.measuring import Timing, own_process, peak_memory_of, time_side_by_side


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


def hungry():
    """A step that takes 200 MB."""
    return partial(torch.ones, 200, 1 << 18)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_peak_memory_is_what_steps_add():
    assert 190 < peak_memory_of(hungry, 'cpu') / (1 << 20) < 260


def whose(file):
    """A step that notes where the module ``project`` was imported from; of another checkout, also once it fails."""
    import project

    return partial(note_and_fail, file, project.__file__)


def note_and_fail(file, found):
    with Path(file).open('a') as lines:
        lines.write(f'{os.getpid()} {found}\n')
    raise ValueError('no such size')


def kill_itself():
    return partial(os.kill, os.getpid(), signal.SIGKILL)


def test_a_step_runs_in_one_other_process_of_any_checkout_and_what_goes_wrong_is_told_each_time(tmp_path):
    (tmp_path / 'project.py').touch()
    before = list(sys.path)
    with own_process(partial(whose, tmp_path / 'calls'), tmp_path) as step:
        for _ in range(2):
            with pytest.raises(RuntimeError, match='no such size'):
                step()
    first, second = (tmp_path / 'calls').read_text().splitlines()
    number, found = first.split()
    assert first == second
    assert number != str(os.getpid())
    assert found == str(tmp_path / 'project.py')
    assert sys.path == before
    assert int(number) not in [child.pid for child in multiprocessing.active_children()]


def test_a_process_that_ends_says_how():
    with own_process(kill_itself) as step, pytest.raises(RuntimeError, match=r'exit code -9; .* memory'):
        step()


def test_models_do_every_case():
    names = (
        'gcvit:xxtiny@4',
        'plain:gcvit:xxtiny@4',
        'lsa:imagenet-tiny',
        'swin:tiny',
        'convnext:tiny',
        'timm:resnet10t',
    )
    for name in names:
        model = build(name, (64, 64))
        for mode in ('infer', 'train') if name in (names[0], names[-1]) else ('infer',):
            Case((64, 64), 1, mode).prepare(model)()
            assert any(p.grad is not None and p.grad.any() for p in model.parameters()) == (mode == 'train'), name


def test_what_is_no_model_is_named():
    for name, message in {
        'resnet:50': r"no model 'resnet:50'.*gcvit:\.\.\.",
        'convnext:tiny@7': "'convnext:tiny@7' sets windows, which only gcvit, lsa, swin",
    }.items():
        with pytest.raises(UserError, match=message):
            build(name, (64, 64))


def test_plain_formulations_are_those_of_a_clone(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, 'ROOT', tmp_path)
    with pytest.raises(UserError, match='not part of the installed package; clone the repository'):
        build('plain:gcvit:tiny', (64, 64))


def test_precision_reaches_the_model():
    seen = []
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    for precision in ('fp32', 'bf16'):
        Case((32, 32), 1, precision=precision).prepare(model)()
    assert seen == [torch.float32, torch.bfloat16]


def profiled(model, size, batch):
    return profile_layers(model, Case(size, batch).prepare(model), 'cpu')


def test_layers_are_counted_and_their_work_with_them():
    """Multiply-adds of the products, by hand: two for each weight and place."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1, groups=8))
    costs = profiled(model, (16, 16), 2)
    assert costs['Conv2d, 3x3'].flops == 2 * 2 * 16 * 16 * 8 * 3 * 9
    assert costs['Conv2d, depthwise'].flops == 2 * 2 * 16 * 16 * 8 * 9
    assert costs['GELU'].bytes == 2 * 2 * 8 * 16 * 16 * 4
    assert costs['Conv2d, 3x3'].seconds > 0


def test_attention_is_counted_by_its_shapes_and_layers_that_are_called_by_keyword_are_too():
    """Stage 0 has 16 windows in a map of 16x16, half as many a side in each next one; 2, 2, 6 and 2 blocks."""
    stages = ((16, 2, 2), (4, 4, 2), (1, 8, 6), (1, 16, 2))  # windows, heads, blocks
    flops = sum(4 * windows * heads * 16 * 16 * 32 * blocks for windows, heads, blocks in stages)
    assert profiled(build('gcvit:xxtiny@4', (64, 64)), (64, 64), 1)['attention'].flops == flops
    # mmpretrain's ConvNeXt tells its norms by keyword where channels are.
    assert profiled(build('convnext:tiny', (64, 64)), (64, 64), 1)['LayerNorm2d'].seconds > 0


@pytest.fixture
def call(tmp_path, capsys):
    """Calls the command in this process; gives what it printed and its error stream, and what it wrote."""

    def call(name, *arguments):
        options = ['--device', 'cpu', '--out', str(tmp_path)]
        run_command('benchmark', [name, *arguments, *options])
        printed = capsys.readouterr()
        content = json.loads((tmp_path / f'{name}.json').read_text())
        return printed.out, printed.err, (tmp_path / f'{name}.md').read_text(), content

    return call


MODELS = ('gcvit:xxtiny@4', 'plain:gcvit:xxtiny@4')


def test_where_the_time_goes_is_a_table_and_its_data(call):
    printed, _, written, content = call('layers', *MODELS, '--size', '32')
    assert all(f'{model}' in printed and f'{model}' in written for model in MODELS)
    assert '| attention |' in written
    assert 'torch' in content['machine']


@pytest.mark.slow
def test_a_model_that_cannot_do_a_case_is_named_and_left_out(call, tmp_path):
    names = [MODELS[0], 'resnet:50', f'{tmp_path}::{MODELS[0]}']
    _, errors, written, content = call('compare', *names, '--sizes', '32', '--rounds', '1', '--no-memory')
    assert 'resnet:50 left out' in errors
    assert f'{tmp_path} is no checkout' in errors
    assert list(content['cases'][0]['seconds']) == [MODELS[0]]
    assert 'resnet:50' not in written.partition('\n\n')[2]
    with pytest.raises(SystemExit, match='nothing was measured'):
        call('compare', names[2], '--sizes', '32')


@pytest.mark.long
def test_the_command_line_writes_a_table_its_data_and_a_plot(call, tmp_path):
    """The plain model is that of this very checkout, named as another."""
    plain = f'{benchmark.ROOT}::{MODELS[1]}'
    for options in (
        ('compare', MODELS[0], plain, '--sizes', '48x64', '--modes', 'train', '--rounds', '1'),
        ('sizes', MODELS[0], '--sides', '32', '64', '--rounds', '1'),
    ):
        printed, _, written, _ = call(*options)
        models = [option for option in options if 'gcvit' in option]
        assert all(f'{model}' in printed and f'{model}' in written for model in models)
        assert (tmp_path / f'{options[0]}.png').stat().st_size > 5000
