"""Time and peak memory of backbones, side by side in one run: what ``mmgcvit benchmark`` does.

How models are named, commands/benchmark.py says. Weights are random, drop path is off. Each command takes its parsed
options, and what takes a text for the user.
"""

import itertools
import json
import platform
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import UserError, first_line, meant
from ..hosts.configs import enter_scope, read_config
from ..models.base import PyramidBackbone
from ..registry import networks
from . import table
from .benchmark_layers import LayerCost, Limits, machine_limits, profile_layers
from .measuring import Step, Timing, own_process, peak_memory_of, time_side_by_side, wait_for

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1 << 20
# Of autocast; fp32 is without.
PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
RUNS = {'eager': (False,), 'compiled': (True,), 'both': (False, True)}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """What a backbone is given to do."""

    size: tuple[int, int]  # height and width of the images in pixels
    batch: int
    mode: str = 'infer'  # or 'train': forward and backward pass, without an optimizer
    precision: str = 'fp32'
    compiled: bool = False
    device: str = 'cpu'

    def __str__(self) -> str:
        compiled = 'compiled' if self.compiled else 'eager'
        return f'{self.batch} x {self.size[0]}x{self.size[1]}, {self.mode}, {self.precision}, {compiled}'

    def prepare(self, model: nn.Module) -> Step:
        """What to call, as often as wished, to do it with a model; returns when it is done, on a GPU too."""
        model.to(self.device)
        model.train(self.mode == 'train')  # of which some hosts' models return nothing
        images = torch.randn(self.batch, 3, *self.size, device=self.device)
        called = torch.compile(model, dynamic=False) if self.compiled else model
        lowered = self.precision != 'fp32'
        autocast = torch.autocast(self.device, PRECISIONS[self.precision]) if lowered else nullcontext()

        def step() -> None:
            model.zero_grad()
            with torch.set_grad_enabled(self.mode == 'train'), autocast:
                maps = called(images)
            if self.mode == 'train':
                sum(found.float().abs().mean() for found in maps).backward()
            wait_for(self.device)

        return step


class Tuple(nn.Module):
    """A model of timm, of one output, as a backbone of one map."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.model.forward_features(images),)


def build(name: str, size: tuple[int, int]) -> nn.Module:
    """Build a backbone for images of a size: (B, 3, H, W) to its maps, in a tuple."""
    kind, _, rest = name.partition(':')
    if kind == 'plain':
        if not (ROOT / 'tests').is_dir():
            raise UserError(
                f"{name} is computed by the tests' plain formulations, which are not part of the installed package; "
                "clone the repository and call 'mmgcvit benchmark' there"
            )
        sys.path.append(str(ROOT))
        from tests.models.gcvit.plain import PlainGCViT
        from tests.models.lsa.plain import PlainLSA

        return (PlainLSA if rest.startswith('lsa') else PlainGCViT)(build(rest, size))
    arch, _, window = rest.partition('@')
    # Not what the ablations make of them.
    known = {name.lower(): kind for name, kind in networks().items() if PyramidBackbone in kind.__bases__}
    if window and kind not in (with_windows := (*known, 'swin')):
        raise UserError(f'{name!r} sets windows, which only {", ".join(with_windows)} models take here')
    if kind in known:
        return known[kind](arch, drop_path_rate=0.0, **({'window_size': int(window)} if window else {}))
    if kind == 'swin':
        from mmpretrain.models import SwinTransformer

        options = {'pad_small_map': True, 'drop_path_rate': 0.0, 'out_indices': range(4)}
        return SwinTransformer(arch, window_size=int(window or 7), **options)
    if kind == 'convnext':
        from mmpretrain.models import ConvNeXt

        return ConvNeXt(arch, out_indices=range(4), gap_before_final_norm=False, drop_path_rate=0.0)
    if kind == 'timm':
        import timm

        create = partial(timm.create_model, arch, num_classes=0, drop_path_rate=0.0)
        try:
            return Tuple(create(img_size=size))
        except TypeError:  # a model for images of any size
            return Tuple(create())
    kinds = {each: f'{each}:...' for each in (*known, 'plain', 'swin', 'convnext', 'timm')}
    asked = meant(kind, kinds, kinds.get)
    raise UserError(f'there is no model {name!r}; expected one of {", ".join(kinds.values())}{asked}')


def prepare(name: str, case: Case) -> Step:
    """The step of a case with a model, made wherever it is called."""
    return case.prepare(build(name, case.size))


def split_checkout(name: str) -> tuple[Path | None, str]:
    """The folder of another checkout, if ``name`` has one, and the model: of ``PATH::MODEL``, or of ``MODEL``."""
    checkout, _, model = name.rpartition('::')
    if not checkout:
        return None, model
    if not (Path(checkout) / 'mmgcvit' / 'experiments' / 'benchmark.py').is_file():
        raise UserError(f'{checkout} is no checkout of this project that has a mmgcvit/experiments/benchmark.py')
    return Path(checkout).resolve(), model


def time_models(models: Sequence[str], case: Case, rounds: int) -> dict[str, Timing]:
    """Time models side by side; those that cannot do a case are named on the error stream and left out."""
    steps = {}
    torch.compiler.reset()  # or the cases before would count towards the graphs that torch makes of one model
    with ExitStack() as processes:
        for name in models:
            try:
                checkout, model = split_checkout(name)
                # A GPU in this process keeps memory for all.
                if case.device == 'cpu':
                    step = processes.enter_context(own_process(partial(prepare, model, case), checkout))
                elif checkout is None:
                    step = prepare(model, case)
                else:
                    raise UserError('another checkout needs a process of its own, which models have on a CPU only')
                step()
            except Exception as error:
                sys.stderr.write(f'{name} left out of {case}: {first_line(error)}\n')
            else:
                steps[name] = step
        return time_side_by_side(steps, rounds, warmup=1)


def measure_memory(name: str, case: Case) -> int:
    """Bytes of two steps of a case; after one that is not counted where a compiler takes memory of its own."""
    checkout, model = split_checkout(name)
    return peak_memory_of(partial(prepare, model, case), case.device, int(case.compiled), checkout)


class Series(NamedTuple):
    """Values over a growing quantity."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @property
    def slope(self) -> float:
        """In a log-log plot, by least squares: 1 where y grows in proportion to x; nan of a single point."""
        return float(np.polyfit(np.log(self.x), np.log(self.y), 1)[0]) if len(self.x) > 1 else float('nan')


def compare_models(args: Namespace, say: Say) -> None:
    """A table for each case, a row for each model."""
    tables, data, bars = [], [], {}
    for size, mode, precision, compiled in itertools.product(args.sizes, args.modes, args.precisions, RUNS[args.run]):
        case = Case(size, args.batch, mode, precision, compiled, args.device)
        timings = time_models(args.models, case, args.rounds)
        memory = {} if args.no_memory else {name: measure_memory(name, case) for name in timings}
        first_name, first = next(iter(timings.items()), ('', None))
        columns = [
            'model',
            'median, ms',
            'p10 to p90',
            'p99',
            'images/s',
            f'speed, {first_name} = 1',
            'peak memory, MB',
        ]
        rows = []
        for name, timing in timings.items():
            tenth, ninetieth, last = (milliseconds(timing.percentile(percent)) for percent in (10, 90, 99))
            cells = [name, milliseconds(timing.median), f'{tenth} to {ninetieth}', last]
            cells += [f'{args.batch / timing.median:.3g}', f'{first.ratio_to(timing):.2f}']
            rows.append([*cells, f'{memory[name] / MEGABYTE:.0f}' if memory else ''])
        tables.append(f'{case}; {case.device}\n\n{table(columns, rows)}')
        if timings:
            bars[str(case)] = {name: args.batch / timing.median for name, timing in timings.items()}
        seconds = {name: timing.seconds for name, timing in timings.items()}
        data.append({'case': asdict(case), 'seconds': seconds, 'peak_bytes': memory})
        say(tables[-1])
    if not bars:
        raise UserError('nothing was measured: no model could do any of the cases, see above')
    save(args, tables, {'cases': data})
    plot_bars(args.out / 'compare.png', bars)


def grow(args: Namespace, say: Say) -> None:
    """Time and memory of each model against image size or the number of images, with their slopes in log-log plots."""
    if args.name == 'sizes':
        quantity = 'pixels of one image'
        cases = {side * side: Case((side, side), 1, args.mode, device=args.device) for side in args.sides}
    else:
        quantity = f'images of {args.size[0]}x{args.size[1]} px at a time'
        cases = {batch: Case(args.size, batch, args.mode, device=args.device) for batch in args.batches}
    timings = {amount: time_models(args.models, case, args.rounds) for amount, case in cases.items()}
    panels: dict[str, list[Series]] = {'seconds': [], 'peak memory, MB': []}
    for name in args.models:
        amounts = [amount for amount in cases if name in timings[amount]]
        panels['seconds'].append(Series(name, amounts, [timings[amount][name].median for amount in amounts]))
        peaks = [measure_memory(name, cases[amount]) / MEGABYTE for amount in amounts]
        panels['peak memory, MB'].append(Series(name, amounts, peaks))
    tables = []
    for panel, lines in panels.items():
        rows = []
        for amount in sorted({amount for line in lines for amount in line.x}):
            found = [dict(zip(line.x, line.y, strict=True)).get(amount) for line in lines]
            rows.append([f'{amount:,}', *('' if value is None else f'{value:.3g}' for value in found)])
        rows.append(['slope', *(f'{line.slope:.2f}' for line in lines)])
        heads = [quantity, *(line.name for line in lines)]
        tables.append(f'{panel}, {args.mode}, {args.device}\n\n{table(heads, rows)}')
    data = {panel: {line.name: [line.x, line.y] for line in lines} for panel, lines in panels.items()}
    say(save(args, tables, data))
    plot_growth(args.out / f'{args.name}.png', f'Cost, {args.mode}', quantity, panels)


def show_layers(args: Namespace, say: Say) -> None:
    """A table for each model: time, and the speed of arithmetic and memory beside the machine's."""
    case = Case(args.size, args.batch, device=args.device)
    limits = machine_limits(args.device)
    tables = []
    for name in args.models:
        model = build(name, case.size)
        costs = profile_layers(model, case.prepare(model), args.device)
        whole = sum(cost.seconds for cost in costs.values())
        columns = ['layers', 'ms', 'share', 'GFLOP', 'GFLOP/s', 'FLOP/byte', 'of the roofline']
        rows = []
        for layer, cost in costs.items():
            if cost.seconds >= whole / 200:
                share = f'{cost.seconds / whole:.0%}'
                rows.append([layer, milliseconds(cost.seconds), share, *roofline(cost, limits)])
        tables.append(f'{name}, {case}: {milliseconds(whole)} ms\n\n{table(columns, rows)}')
    reached = f'{limits.flops / 1e9:.0f} GFLOP/s in products, {limits.bytes / 1e9:.1f} GB/s in copies'
    say(f'The machine reaches {reached}.\n\n{save(args, tables, {"limits": limits._asdict()})}')


def roofline(cost: LayerCost, limits: Limits) -> list[str]:
    """What a layer computes, how fast, and the share of what its arithmetic intensity allows."""
    if not cost.bytes:
        return [''] * 4
    work = [f'{cost.flops / 1e9:.2f}', f'{cost.flops / cost.seconds / 1e9:.0f}'] if cost.flops else ['', '']
    least_seconds = max(cost.flops / limits.flops, cost.bytes / limits.bytes)
    return [*work, f'{cost.flops / cost.bytes:.1f}', f'{least_seconds / cost.seconds:.0%}']


def time_data(args: Namespace, say: Say) -> None:
    """Seconds a batch of a config's training data takes to load."""
    cfg = read_config(args.config)
    enter_scope(cfg)
    batches = iter(Runner.build_dataloader(cfg.train_dataloader))
    next(batches)
    began = time.perf_counter()
    loaded = sum(1 for _ in itertools.islice(batches, args.batches))
    if not loaded:
        raise UserError(f'{args.config}: the training data is a single batch; nothing to time after it')
    seconds = (time.perf_counter() - began) / loaded
    size, workers = cfg.train_dataloader.batch_size, cfg.train_dataloader.get('num_workers', 0)
    speed = f'{seconds * 1000:.1f} ms a batch of {size}, {size / seconds:.1f} images/s'
    say(f'{speed}, {workers} workers ({loaded} batches)')


def milliseconds(seconds: float) -> str:
    return f'{seconds * 1000:.3g}' if seconds < 0.1 else f'{seconds * 1000:.0f}'


def save(args: Namespace, tables: Sequence[str], data: Mapping[str, Any]) -> str:
    """Write NAME.md and NAME.json into the folder of the options, and return the Markdown."""
    if args.device == 'cuda':
        machine = f'{torch.cuda.get_device_name()}; torch {torch.__version__}'
    else:
        threads = f'{torch.get_num_threads()} threads'
        machine = f'{processor_name()}, {threads}; torch {torch.__version__}'
    text = '\n'.join([f'`mmgcvit benchmark {" ".join(sys.argv[1:])}`, {machine}\n', *tables])
    content = {'command': sys.argv[1:], 'machine': machine, **data}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f'{args.name}.md').write_text(text)
    (args.out / f'{args.name}.json').write_text(json.dumps(content, indent=2) + '\n')
    return text


def processor_name() -> str:
    """The processor's name, as Linux tells it, and its widest vectors."""
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return f'{names[0] if names else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}'


def plot_bars(file: Path, values: Mapping[str, Mapping[str, float]]) -> None:
    """Throughput: for each case, by its name, a bar for each model."""
    figure = Figure(figsize=(8, 0.6 + sum(0.9 + 0.3 * len(bars) for bars in values.values())), layout='tight')
    for axes, (case, bars) in zip(figure.subplots(len(values), squeeze=False).flat, values.items(), strict=True):
        drawn = axes.barh(list(bars), list(bars.values()), color=[f'C{i}' for i in range(len(bars))])
        axes.bar_label(drawn, fmt='%.3g', padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_title(case, fontsize=10, loc='left')
        axes.set_xlabel('images a second')
    figure.suptitle('Throughput')
    figure.savefig(file, dpi=120)


def plot_growth(file: Path, title: str, x_label: str, panels: Mapping[str, Sequence[Series]]) -> None:
    """Log-log plots, one for each panel by the name of what it shows, with the slopes in the legend."""
    figure = Figure(figsize=(5.5 * len(panels), 4.5), layout='tight')
    for axes, (y_label, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for line in lines:
            axes.loglog(line.x, line.y, marker='o', label=f'{line.name}: slope {line.slope:.2f}')
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(which='both', alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(title)
    figure.savefig(file, dpi=120)
