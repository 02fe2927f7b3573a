"""Time and peak memory of backbones, side by side in one run.

    python tools/benchmark.py compare gcvit:tiny plain:gcvit:tiny swin:tiny --sizes 800x1333 --modes infer train
    python tools/benchmark.py sizes gcvit:tiny@16                  cost against image size, 256 to 2048 px a side
    python tools/benchmark.py batches gcvit:tiny swin:tiny         cost against the number of images
    python tools/benchmark.py layers gcvit:tiny                    where the time goes
    python tools/benchmark.py data configs/mask_rcnn_gcvit_t.py    loading alone, as a config does it

Models: gcvit:ARCH, gcvit:ARCH@WINDOW, lsa:ARCH; plain:gcvit:ARCH and so on, the same computed plainly, as the tests do
for comparison (in a clone); swin:ARCH and convnext:ARCH of mmpretrain; timm:NAME. PATH::MODEL is the MODEL of another
checkout of this project, on a CPU. Results go to the screen as Markdown
and, with a plot and as JSON, into --out.
"""

import argparse
import contextlib
import dataclasses
import functools
import itertools
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # for the plain formulations, which are kept with the tests

from benchmarking import (  # noqa: E402
    Case,
    LayerCost,
    Limits,
    Mode,
    OwnProcess,
    Precision,
    Series,
    Table,
    Timing,
    build_contestant,
    machine_in_words,
    machine_limits,
    peak_memory,
    plot_bars,
    plot_growth,
    profile_layers,
    save_report,
    time_side_by_side,
)

from mmgcvit import LSA  # noqa: E402

MEGABYTE = 1 << 20


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.command(args)


def parse_args() -> argparse.Namespace:
    summary, _, usage = __doc__.partition('\n\n')
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    compare = add_command(commands, 'compare', compare_models, 'several models, several cases', rounds=10)
    compare.add_argument(
        '--sizes', type=image_size, nargs='+', default=[(224, 224)], metavar='SIZE', help='224, 800x1333'
    )
    compare.add_argument('--batch', type=positive, default=1, help='images at a time (default: %(default)s)')
    compare.add_argument('--modes', type=Mode, nargs='+', default=[Mode.INFER], metavar='infer|train')
    compare.add_argument('--precisions', type=Precision, nargs='+', default=[Precision.FP32], metavar='fp32|bf16|fp16')
    compare.add_argument('--run', choices=('eager', 'compiled', 'both'), default='eager')
    compare.add_argument('--no-memory', action='store_true', help='leave out peak memory, a process for each figure')
    sizes = add_command(commands, 'sizes', grow_sizes, 'cost against image size', rounds=3)
    sizes.add_argument('--sides', type=positive, nargs='+', default=[256, 512, 1024, 2048], help='pixels a side')
    batches = add_command(commands, 'batches', grow_batches, 'cost against the number of images', rounds=5)
    batches.add_argument('--size', type=image_size, default=(224, 224))
    batches.add_argument('--batches', type=positive, nargs='+', default=[1, 2, 4, 8, 16, 32])
    for command in (sizes, batches):
        command.add_argument('--mode', type=Mode, default=Mode.INFER, metavar='infer|train')
    layers = add_command(
        commands, 'layers', show_layers, 'where the time goes in inference, by type of layer', rounds=0
    )
    layers.add_argument('--size', type=image_size, default=(224, 224))
    layers.add_argument('--batch', type=positive, default=1)
    data = commands.add_parser('data', help="loading of a config's training data, without a model")
    data.add_argument('config')
    data.add_argument('--batches', type=positive, default=50, help='how many to load (default: %(default)s)')
    data.set_defaults(command=time_data, threads=None)
    return parser.parse_args()


def add_command(commands: Any, name: str, function: Callable, help_text: str, rounds: int) -> argparse.ArgumentParser:
    """A command with the options that all that measure models have."""
    parser = commands.add_parser(name, help=help_text)
    parser.set_defaults(command=function, name=name)
    parser.add_argument('models', nargs='+', metavar='MODEL', help='the first is what others are compared with')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=positive, help='of torch on a CPU (default: all cores)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark'), help='folder (default: %(default)s)')
    if rounds:
        parser.add_argument('--rounds', type=positive, default=rounds, help='timed calls (default: %(default)s)')
    return parser


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number}, expected at least 1')
    return number


def image_size(text: str) -> tuple[int, int]:
    """Read a size in pixels: ``224`` for a square, ``800x1333`` for height and width."""
    sides = [positive(side) for side in text.split('x')]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f'{text}, expected a side or HEIGHTxWIDTH')
    return sides[0], sides[-1]


def build(name: str, size: tuple[int, int]) -> nn.Module:
    """Any model of this tool's list, for images of a size."""
    kind, _, rest = name.partition(':')
    if kind != 'plain':
        return build_contestant(name, size)
    from tests.models.gcvit.plain import PlainGCViT
    from tests.models.lsa.plain import PlainLSA

    model = build_contestant(rest, size)
    return PlainLSA(model) if isinstance(model, LSA) else PlainGCViT(model)


def compare_models(args: argparse.Namespace) -> None:
    """A table for each case, a row for each model."""
    runs = {'eager': [False], 'compiled': [True], 'both': [False, True]}[args.run]
    tables, data, bars = [], [], {}
    for size, mode, precision, compiled in itertools.product(args.sizes, args.modes, args.precisions, runs):
        case = Case(size, args.batch, mode, precision, compiled, args.device)
        timings = time_models(args.models, case, args.rounds)
        memory = {} if args.no_memory else {name: measure_memory(name, case) for name in timings}
        tables.append(comparison(case, timings, memory))
        if timings:
            bars[str(case)] = {name: args.batch / timing.median for name, timing in timings.items()}
        data.append({'case': case.as_dict(), 'seconds': seconds_of(timings), 'peak_bytes': memory})
        print(tables[-1], end='\n\n', flush=True)
    if not bars:
        raise SystemExit('nothing was measured: no model could do any of the cases, see above')
    save(args, tables, {'cases': data})
    plot_bars(args.out / 'compare.png', 'Throughput', bars, 'images a second')


def time_models(models: list[str], case: Case, rounds: int) -> dict[str, Timing]:
    """Time models side by side; those that cannot do a case are named on the error stream and left out."""
    steps = {}
    with contextlib.ExitStack() as processes:
        for name in models:
            try:
                step = processes.enter_context(make_step(name, case))
                step()
            except Exception as error:
                print(
                    f'{name} left out of {case}: {(str(error) or type(error).__name__).splitlines()[0]}',
                    file=sys.stderr,
                )
            else:
                steps[name] = step
        return time_side_by_side(steps, rounds, warmup=1)


def make_step(name: str, case: Case) -> AbstractContextManager[Callable[[], None]]:
    """What to call for a case: on a CPU in a process of its own, on a GPU in this one, which keeps memory for all."""
    checkout, model = split_checkout(name)
    if case.device == 'cpu':
        return OwnProcess(functools.partial(prepare, model, case), checkout)
    if checkout is not None:
        raise ValueError('another checkout needs a process of its own, which models have on a CPU only')
    return contextlib.nullcontext(prepare(name, case))


def prepare(name: str, case: Case) -> Callable[[], None]:
    return case.prepare(build(name, case.size))


def measure_memory(name: str, case: Case) -> int:
    checkout, model = split_checkout(name)
    return peak_memory(functools.partial(build, model, case.size), case, checkout)


def split_checkout(name: str) -> tuple[Path | None, str]:
    """The folder of another checkout, if ``name`` has one, and the model: of ``PATH::MODEL``, or of ``MODEL``."""
    checkout, _, model = name.rpartition('::')
    if not checkout:
        return None, model
    if not (Path(checkout) / 'mmgcvit').is_dir():
        raise ValueError(f'{checkout} is no checkout of this project: it has no folder mmgcvit')
    return Path(checkout).resolve(), model


def comparison(case: Case, timings: dict[str, Timing], memory: dict[str, int]) -> Table:
    """The table of a case."""
    (first_name, first) = next(iter(timings.items()), ('', None))
    table = Table(
        f'{case}; {case.device}',
        ['model', 'median, ms', 'p10 to p90', 'p99', 'images/s', f'speed, {first_name} = 1', 'peak memory, MB'],
    )
    for name, timing in timings.items():
        table.rows.append(
            [
                name,
                milliseconds(timing.median),
                f'{milliseconds(timing.percentile(10))} to {milliseconds(timing.percentile(90))}',
                milliseconds(timing.percentile(99)),
                f'{case.batch / timing.median:.3g}',
                f'{first.ratio_to(timing):.2f}',
                f'{memory[name] / MEGABYTE:.0f}' if memory else '',
            ]
        )
    return table


def grow_sizes(args: argparse.Namespace) -> None:
    cases = {side * side: Case((side, side), 1, args.mode, device=args.device) for side in args.sides}
    grow(args, 'pixels of one image', cases)


def grow_batches(args: argparse.Namespace) -> None:
    cases = {batch: Case(args.size, batch, args.mode, device=args.device) for batch in args.batches}
    grow(args, f'images of {args.size[0]}x{args.size[1]} px at a time', cases)


def grow(args: argparse.Namespace, quantity: str, cases: dict[int, Case]) -> None:
    """Time and memory of each model against a quantity, with the slope of both in a log-log plot."""
    timings = {amount: time_models(args.models, case, args.rounds) for amount, case in cases.items()}
    seconds, megabytes = [], []
    for name in args.models:
        amounts = [amount for amount in cases if name in timings[amount]]
        seconds.append(Series(name, amounts, [timings[amount][name].median for amount in amounts]))
        peaks = [measure_memory(name, cases[amount]) / MEGABYTE for amount in amounts]
        megabytes.append(Series(name, amounts, peaks))
    panels = {'seconds': seconds, 'peak memory, MB': megabytes}
    tables = [growth(f'{panel}, {args.mode.value}, {args.device}', quantity, lines) for panel, lines in panels.items()]
    print(
        save(args, tables, {panel: {line.name: [line.x, line.y] for line in lines} for panel, lines in panels.items()})
    )
    plot_growth(args.out / f'{args.name}.png', f'Cost, {args.mode.value}', quantity, panels)


def growth(caption: str, quantity: str, lines: list[Series]) -> Table:
    table = Table(caption, [quantity, *(line.name for line in lines)])
    for amount in sorted({amount for line in lines for amount in line.x}):
        found = [dict(zip(line.x, line.y, strict=True)).get(amount) for line in lines]
        table.rows.append([f'{amount:,}', *('' if value is None else f'{value:.3g}' for value in found)])
    table.rows.append(['slope', *(f'{line.slope:.2f}' for line in lines)])
    return table


def show_layers(args: argparse.Namespace) -> None:
    """A table for each model: time, and the speed of arithmetic and memory beside the machine's."""
    case = Case(args.size, args.batch, device=args.device)
    limits = machine_limits(case)
    tables = []
    for name in args.models:
        costs = profile_layers(build(name, case.size), case)
        whole = sum(cost.seconds for cost in costs.values())
        table = Table(
            f'{name}, {case}: {milliseconds(whole)} ms',
            ['layers', 'ms', 'share', 'GFLOP', 'GFLOP/s', 'FLOP/byte', 'of the roofline'],
        )
        for layer, cost in costs.items():
            if cost.seconds >= whole / 200:
                table.rows.append(
                    [layer, milliseconds(cost.seconds), f'{cost.seconds / whole:.0%}', *roofline(cost, limits)]
                )
        tables.append(table)
    machine = (
        f'The machine reaches {limits.flops / 1e9:.0f} GFLOP/s in products, {limits.bytes / 1e9:.1f} GB/s in copies.'
    )
    print(machine, save(args, tables, {'limits': dataclasses.asdict(limits)}), sep='\n\n')


def roofline(cost: LayerCost, limits: Limits) -> list[str]:
    """What a layer computes, how fast, and the share of what its arithmetic intensity allows."""
    if not cost.bytes:
        return [''] * 4
    intensity = cost.flops / cost.bytes
    least_seconds = max(cost.flops / limits.flops, cost.bytes / limits.bytes)
    speed = f'{cost.flops / cost.seconds / 1e9:.0f}' if cost.flops else ''
    return [
        f'{cost.flops / 1e9:.2f}' if cost.flops else '',
        speed,
        f'{intensity:.1f}',
        f'{least_seconds / cost.seconds:.0%}',
    ]


def time_data(args: argparse.Namespace) -> None:
    """Seconds a batch of a config's training data takes to load."""
    from mmengine.runner import Runner

    from mmgcvit.hosts.configs import enter_scope, read_config

    cfg = read_config(args.config)
    enter_scope(cfg)
    loader = Runner.build_dataloader(cfg.train_dataloader)
    batches = iter(loader)
    next(batches)
    began = time.perf_counter()
    loaded = sum(1 for _ in itertools.islice(batches, args.batches))
    if not loaded:
        raise SystemExit(f'{args.config}: the training data is a single batch; nothing to time after it')
    seconds = (time.perf_counter() - began) / loaded
    size, workers = cfg.train_dataloader.batch_size, cfg.train_dataloader.get('num_workers', 0)
    speed = f'{seconds * 1000:.1f} ms a batch of {size}, {size / seconds:.1f} images/s'
    print(f'{speed}, {workers} workers ({loaded} batches)')


def save(args: argparse.Namespace, tables: list[Table], data: dict) -> str:
    machine = machine_in_words(args.device)
    heading = f'`python tools/benchmark.py {" ".join(sys.argv[1:])}`, {machine}'
    return save_report(args.out, args.name, heading, tables, {'command': sys.argv[1:], 'machine': machine} | data)


def seconds_of(timings: dict[str, Timing]) -> dict[str, list[float]]:
    return {name: list(timing.seconds) for name, timing in timings.items()}


def milliseconds(seconds: float) -> str:
    return f'{seconds * 1000:.3g}' if seconds < 0.1 else f'{seconds * 1000:.0f}'


if __name__ == '__main__':
    main()
