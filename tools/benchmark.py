"""Compare models by time, measured alternately, and by peak memory: python tools/benchmark.py MODEL
... [options].

    python tools/benchmark.py gcvit:tiny timm:gcvit_tiny swin:tiny convnext:tiny --batch 16 --modes
    infer train python tools/benchmark.py gcvit:tiny@16 gcvit:tiny@24 --sizes 800x1333
    python tools/benchmark.py configs/mask_rcnn_gcvit_t.py --sizes 800x1333 --batch 1 2
    python tools/benchmark.py gcvit:tiny@16 swin:tiny --first-steps --sizes 800x1344 640x1088
    736x1216 --modes train

Backbones: gcvit:ARCH, gcvit:ARCH@WINDOW_SIZE, lsa:ARCH, swin:ARCH and convnext:ARCH (from
    mmpretrain), timm:NAME. With
a config file, the whole model is measured: preprocessing and network, then post-processing
(inference) or losses and gradients (training). MODEL+MODULE:FUNCTION measures the model that a
Python function returns for MODEL.

Weights are random, images are noise, and backbones have no drop path.
"""

import argparse
import itertools
import multiprocessing
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer
from torch.utils.benchmark.utils.timer import timer

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import add_device_option, check_at_least
from mmgcvit.errors import UserError, format_count, get_first_line
from mmgcvit.host.config import enter_scope, iter_dicts, read_config
from mmgcvit.host.device import disable_cudnn_attention, resolve_device
from mmgcvit.models.base import PyramidBackbone
from mmgcvit.models.speed_up import choose_linear_kernel, speed_up
from mmgcvit.registry import list_networks

MEGABYTE = 1 << 20
PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
MODEL_NAMES = (
    'gcvit:ARCH, gcvit:ARCH@WINDOW, lsa:ARCH, swin:ARCH, convnext:ARCH, timm:NAME, or a config file'
)
NUM_OBJECTS = 7  # ground truth objects in each image for detectors, the mean of COCO
PEAK_RESET = Path('/proc/self/clear_refs')  # only Linux has it
Step = Callable[[], None]  # runs one iteration of a model


@dataclass(frozen=True)
class Case:
    """The setting in which all models are measured."""

    size: tuple[int, int]  # height and width of the images in pixels
    batch: int  # batch size
    mode: str = 'infer'  # or 'train': forward and backward pass, without an optimizer step
    precision: str = 'fp32'  # a key of PRECISIONS; all but fp32 use autocast
    compiled: bool = False  # whether to use torch.compile
    device: str = 'cpu'

    def __str__(self) -> str:
        compiled = 'compiled' if self.compiled else 'eager'
        size = f'{self.batch} x {self.size[0]}x{self.size[1]}'
        return f'{size}, {self.mode}, {self.precision}, {compiled}, {self.device}'

    def prepare(self, model: nn.Module) -> Step:
        """Return a function that runs one iteration of a backbone or of a whole model of an
        OpenMMLab package.
        """
        training = self.mode == 'train'
        speed_up(model)  # as the commands do
        model.to(self.device).train(training)
        forward = torch.compile(model, dynamic=False) if self.compiled else model
        if hasattr(model, 'data_preprocessor'):
            batch = make_batch(model, self)

            def compute() -> Any:
                data = model.data_preprocessor(deepcopy(batch), training)
                outputs = forward(**data, mode='loss' if training else 'predict')
                return model.parse_losses(outputs)[0] if training else outputs

        else:
            images = torch.randn(self.batch, 3, *self.size, device=self.device)
            compute = partial(forward, images)
        autocast = nullcontext()
        if self.precision != 'fp32':
            autocast = torch.autocast(self.device, PRECISIONS[self.precision])

        def step() -> None:
            model.zero_grad()
            with torch.set_grad_enabled(training), autocast:
                outputs = compute()
            if training:
                outputs = [outputs] if isinstance(outputs, Tensor) else outputs
                sum(output.float().abs().mean() for output in outputs).backward()

        return step


def make_batch(model: nn.Module, case: Case) -> dict[str, Any]:
    """Create a batch of random images with annotations, in the format of a dataloader of the
    model's package.
    """
    # The package may be that of a base class: mmdet_fixes has subclasses of mmdet's models.
    packages = {cls.__module__.split('.')[0] for cls in type(model).__mro__}
    shape = (3, *case.size)
    if 'mmdet' in packages:
        from mmdet.testing import demo_mm_inputs

        shapes, num_objects = [shape] * case.batch, [NUM_OBJECTS] * case.batch
        return demo_mm_inputs(case.batch, shapes, num_objects, with_mask=True, use_box_type=True)
    images = [torch.randint(256, shape, dtype=torch.uint8) for _ in range(case.batch)]
    if 'mmseg' in packages:
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        labels = PixelData(data=torch.zeros(1, *case.size, dtype=torch.long))
        sizes = {'img_shape': case.size, 'ori_shape': case.size}
        samples = [SegDataSample(metainfo=sizes, gt_sem_seg=labels) for _ in images]
    else:
        from mmpretrain.structures import DataSample

        samples = [DataSample().set_gt_label(0) for _ in images]
    return {'inputs': images, 'data_samples': samples}


def build(name: str, size: tuple[int, int]) -> nn.Module:
    """Build a model by its name, for images of this (height, width).

    For the name ``NAME+MODULE:FUNCTION``, build the model ``NAME`` and return the function's result
    for it, for example ``gcvit:tiny+tests.models.gcvit.plain:PlainGCViT``.

    Raises:
        UserError: There is no such model.
    """
    name, _, function = name.partition('+')
    if function:
        return resolve_name(function)(build(name, size))
    if name.endswith('.py'):
        from mmengine.registry import MODELS

        cfg = read_config(name)
        enter_scope(cfg)
        if 'data_preprocessor' in cfg:  # as mmengine's Runner does
            cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
        for settings in iter_dicts([cfg.model]):
            settings.pop('init_cfg', None)  # random weights
        model = MODELS.build(cfg.model)
        model.init_weights()  # some parameters of mmdet are uninitialised memory before
        return model
    family, _, arch_and_window = name.partition(':')
    arch, _, window = arch_and_window.partition('@')
    for name, network in list_networks().items():
        # Direct subclasses only: ablation variants are subclasses of these networks.
        if name.lower() == family and PyramidBackbone in network.__bases__:
            options = {'window_size': int(window)} if window else {}
            return network(arch, drop_path_rate=0.0, **options)
    if family == 'swin':
        from mmpretrain.models import SwinTransformer

        options = {'pad_small_map': True, 'drop_path_rate': 0.0, 'out_indices': range(4)}
        return SwinTransformer(arch, window_size=int(window or 7), **options)
    if family == 'convnext':
        from mmpretrain.models import ConvNeXt

        return ConvNeXt(arch, out_indices=range(4), gap_before_final_norm=False, drop_path_rate=0.0)
    if family == 'timm':
        import timm

        create = partial(timm.create_model, arch, num_classes=0, drop_path_rate=0.0)
        try:
            model = create(img_size=size)
        except TypeError:  # models for images of any size have no img_size
            model = create()
        model.forward = model.forward_features
        return model
    raise UserError(f'there is no model {name!r}. Choose one of {MODEL_NAMES}')


def time_alternately(steps: Mapping[str, Step], rounds: int) -> dict[str, list[float]]:
    """Return each step's seconds, one per round.

    The order rotates, so that other programs slow all steps alike.
    """
    threads = torch.get_num_threads()
    timers = {
        name: Timer('step()', globals={'step': step}, num_threads=threads)
        for name, step in steps.items()
    }
    names, seconds = list(steps), {name: [] for name in steps}
    for round_index in range(rounds if names else 0):
        first = round_index % len(names)
        for name in names[first:] + names[:first]:
            # torch warms up with at least one call, then times calls until 10 ms have passed.
            seconds[name].append(timers[name].blocked_autorange(min_run_time=0.01).median)
    return seconds


def measure_peak_memory(name: str, case: Case, threads: int) -> int:
    """Return the peak memory of two steps in bytes, minus the memory in use before them.

    On a GPU it is the memory that torch allocates, on the CPU the resident memory of this process.
    """
    torch.set_num_threads(threads)
    step = case.prepare(build(name, case.size))
    if case.compiled:
        step()
    if case.device != 'cpu':
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        # Reset VmHWM, the peak of the resident set size.
        PEAK_RESET.write_text('5')
        before = read_status('VmRSS')
    step()
    step()
    peak = read_status('VmHWM') if case.device == 'cpu' else torch.cuda.max_memory_allocated()
    return peak - before


def read_status(key: str) -> int:
    """Return a memory size from /proc/self/status in bytes. The file has kilobytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def compare(names: Sequence[str], case: Case, rounds: int, with_memory: bool) -> str:
    """Measure models in turns and return a Markdown table. Leave out models that fail, and name
    them on stderr.

    Raises:
        UserError: No model could run the case.
    """
    steps: dict[str, Step] = {}
    torch.compiler.reset()  # graphs of earlier cases would count towards torch's recompile limit
    for name in names:
        try:
            step = case.prepare(build(name, case.size))
            step()
        except Exception as error:
            sys.stderr.write(
                f'{name} left out of {case}: {type(error).__name__}: {get_first_line(error)}\n'
            )
        else:
            steps[name] = step
    if not steps:
        raise UserError(f'no model could run {case}. The lines above say why')
    seconds = time_alternately(steps, rounds)
    baseline, baseline_times = next(iter(seconds.items()))
    header = ['model', 'median, ms', 'p10 to p90, ms', 'images/s', f'speed, {baseline} = 1']
    rows = [[*header, 'peak memory, MB']]
    for name, times in seconds.items():
        p10, median, p90 = np.quantile(times, (0.1, 0.5, 0.9))
        speed = np.median(np.divide(baseline_times, times))
        memory = f'{get_peak_memory(name, case) / MEGABYTE:.0f}' if with_memory else ''
        spread = f'{1000 * p10:.4g} to {1000 * p90:.4g}'
        rate = f'{case.batch / median:.3g}'
        rows.append([name, f'{1000 * median:.4g}', spread, rate, f'{speed:.2f}', memory])
    return f'{case}\n\n{format_table(*rows)}'


def compare_first_steps(
    names: Sequence[str], case: Case, sizes: Sequence[tuple[int, int]], rounds: int
) -> str:
    """Time each model's first step at each size and return a Markdown table.

    In detection, most steps are the first at their size. A later step has the same size again. The
    first of ``sizes`` comes with what a model does only once, so it has no ratio.
    """
    rows = [['model', 'size', 'first step, ms', 'later steps, ms', 'ratio']]
    for name in names:
        model = build(name, sizes[0])
        for size in sizes:
            step = replace(case, size=size).prepare(model)
            starts_and_end = [timer()]  # torch's timer waits for the GPU
            for _ in range(1 + rounds):
                step()
                starts_and_end.append(timer())
            first, *later = 1000 * np.diff(starts_and_end)
            later = np.median(later)
            ratio = '' if size == sizes[0] else f'{first / later:.1f}'
            rows.append([name, f'{size[0]}x{size[1]}', f'{first:.4g}', f'{later:.4g}', ratio])
    return f'{replace(case, size=sizes[0])}, then other sizes\n\n{format_table(*rows)}'


def format_table(header: Sequence[str], *rows: Sequence[str]) -> str:
    """Format a Markdown table."""
    return ''.join(f'| {" | ".join(row)} |\n' for row in [header, ['---'] * len(header), *rows])


def get_peak_memory(name: str, case: Case) -> int:
    """Call :func:`measure_peak_memory`.

    On the CPU, call it in a new process, whose memory has no other models.
    """
    threads = torch.get_num_threads()
    if case.device != 'cpu':
        return measure_peak_memory(name, case, threads)
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(measure_peak_memory, name, case, threads).result()


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = __doc__.partition('\n\n')[2]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        'models',
        nargs='+',
        metavar='MODEL',
        help='see below; speeds are relative to the first MODEL',
    )
    sizes = 'image sizes in pixels, for example 800x1333 (default: 224)'
    parser.add_argument(
        '--sizes', type=parse_size, nargs='+', default=[(224, 224)], metavar='SIZE', help=sizes
    )
    parser.add_argument(
        '--batch', type=int, nargs='+', default=[1], metavar='N', help='batch sizes (default: 1)'
    )
    parser.add_argument(
        '--modes', choices=('infer', 'train'), nargs='+', default=['infer'], help='default: infer'
    )
    parser.add_argument(
        '--precisions', choices=PRECISIONS, nargs='+', default=['fp32'], help='default: fp32'
    )
    ways = ('eager', 'compiled')
    parser.add_argument(
        '--run', choices=ways, nargs='+', default=['eager'], help='compiled: torch.compile'
    )
    parser.add_argument(
        '--rounds', type=int, default=10, metavar='N', help='measurements per model (default: 10)'
    )
    parser.add_argument('--threads', type=int, metavar='N', help='CPU threads (default: all cores)')
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory')
    first_steps = (
        "measure each model's first step at each size, one size after the other; models do not "
        'take turns'
    )
    parser.add_argument('--first-steps', action='store_true', help=first_steps)
    add_device_option(parser)


def parse_size(text: str) -> tuple[int, int]:
    """Parse an image size in pixels: ``224`` for a square, ``800x1333`` for height and width."""
    sides = text.split('x')
    if len(sides) > 2 or not all(side.isdigit() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(
            f'{text}: expected SIDE or HEIGHTxWIDTH in pixels, for example 224 or 800x1333'
        )
    return int(sides[0]), int(sides[-1])


def describe_processor() -> str:
    """Return the processor's name, its instruction set, the library for linear layers, and the
    number of threads: ratios hold for these.
    """
    name = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')  # only Linux has it
    if cpuinfo.is_file():
        found = re.search(r'^model name\s*: (.+)$', cpuinfo.read_text(), re.MULTILINE)
        name = found[1] if found else name
    instructions = torch.backends.cpu.get_cpu_capability()
    threads = format_count(torch.get_num_threads(), 'thread')
    return f'{name} ({instructions}; linear layers by {choose_linear_kernel()}), {threads}'


def main(args: argparse.Namespace) -> None:
    check_at_least(args, batch=1, rounds=1, threads=1)
    sys.path.insert(
        0, str(Path.cwd())
    )  # so that MODULE:FUNCTION can be imported from the current folder
    device = resolve_device(args.device)
    measures_memory = not (args.first_steps or args.no_memory)
    if device.type == 'cpu' and measures_memory and not PEAK_RESET.exists():
        raise UserError(f'the memory on a CPU is measured by {PEAK_RESET}, of Linux: --no-memory')
    if args.threads:
        torch.set_num_threads(args.threads)
    machine = describe_processor()
    disable_cudnn_attention()
    if device.type == 'cuda':
        torch.cuda.set_device(device)
        machine = torch.cuda.get_device_name()
    print(f'torch {torch.__version__}, {machine}\n')
    sizes = args.sizes[:1] if args.first_steps else args.sizes
    cases = itertools.product(sizes, args.batch, args.modes, args.precisions, args.run)
    for size, batch, mode, precision, run in cases:
        case = Case(
            size=size,
            batch=batch,
            mode=mode,
            precision=precision,
            compiled=run == 'compiled',
            device=device.type,
        )
        if args.first_steps:
            print(compare_first_steps(args.models, case, args.sizes, args.rounds), flush=True)
        else:
            print(compare(args.models, case, args.rounds, not args.no_memory), flush=True)


if __name__ == '__main__':
    run_command(sys.modules[__name__])
