"""Compare time and peak memory of backbones and whole models within one run.

Weights are random, images are noise, and drop path is off in backbones. :func:`compare` measures one case.
"""

import multiprocessing
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from ..config import enter_scope, iter_dicts, read_config
from ..errors import UserError, get_first_line
from ..models.base import PyramidBackbone
from ..registry import list_networks
from . import format_table

MEGABYTE = 1 << 20
PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
NAMES = 'gcvit:ARCH, gcvit:ARCH@WINDOW, lsa:ARCH, swin:ARCH, convnext:ARCH, timm:NAME, or a config file'
NUM_OBJECTS = 7  # in each image of detection, COCO's mean
Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """What a model is timed at."""

    size: tuple[int, int]  # height and width of the images in pixels
    batch: int
    mode: str = 'infer'  # or 'train': forward and backward pass, without an optimizer
    precision: str = 'fp32'  # the others by autocast
    compiled: bool = False
    device: str = 'cpu'

    def __str__(self) -> str:
        compiled = 'compiled' if self.compiled else 'eager'
        size = f'{self.batch} x {self.size[0]}x{self.size[1]}'
        return f'{size}, {self.mode}, {self.precision}, {compiled}, {self.device}'

    def prepare(self, model: nn.Module) -> Step:
        """A function that runs the case once with a backbone, or with a whole model of an OpenMMLab package."""
        training = self.mode == 'train'
        model.to(self.device).train(training)
        called = torch.compile(model, dynamic=False) if self.compiled else model
        if hasattr(model, 'data_preprocessor'):
            compute = partial(compute_losses if training else predict, model, called, make_batch(model, self))
        else:
            compute = partial(compute_maps, called, torch.randn(self.batch, 3, *self.size, device=self.device))
        autocast = nullcontext()
        if self.precision != 'fp32':
            autocast = torch.autocast(self.device, PRECISIONS[self.precision])

        def step() -> None:
            model.zero_grad()
            with torch.set_grad_enabled(training), autocast:
                outputs = compute()
            if training:
                sum(output.float().abs().mean() for output in outputs).backward()

        return step


def compute_maps(backbone: nn.Module, images: Tensor) -> Sequence[Tensor]:
    """The feature maps of a backbone."""
    maps = backbone(images)
    return [maps] if isinstance(maps, Tensor) else maps


def compute_losses(model: nn.Module, called: nn.Module, batch: Mapping[str, Any]) -> Sequence[Tensor]:
    """The loss of a whole model; preprocessing included."""
    data = model.data_preprocessor(deepcopy(batch), True)
    return [model.parse_losses(called(**data, mode='loss'))[0]]


def predict(model: nn.Module, called: nn.Module, batch: Mapping[str, Any]) -> Sequence[Any]:
    """The predictions of a whole model; preprocessing and post-processing included."""
    data = model.data_preprocessor(deepcopy(batch), False)
    return called(**data, mode='predict')


def make_batch(model: nn.Module, case: Case) -> dict[str, Any]:
    """Random images and annotations, as the data loader of a model's package gives them."""
    package, shape = type(model).__module__.split('.')[0], (3, *case.size)
    if package == 'mmdet':
        from mmdet.testing import demo_mm_inputs

        numbers = [NUM_OBJECTS] * case.batch
        return demo_mm_inputs(case.batch, [shape] * case.batch, numbers, with_mask=True, use_box_type=True)
    images = [torch.randint(256, shape, dtype=torch.uint8) for _ in range(case.batch)]
    if package == 'mmseg':
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        labels = PixelData(data=torch.zeros(1, *case.size, dtype=torch.long))
        sizes = {'img_shape': case.size, 'ori_shape': case.size}
        return {'inputs': images, 'data_samples': [SegDataSample(metainfo=sizes, gt_sem_seg=labels) for _ in images]}
    from mmpretrain.structures import DataSample

    return {'inputs': images, 'data_samples': [DataSample().set_gt_label(0) for _ in images]}


def build(name: str, size: tuple[int, int]) -> nn.Module:
    """Build a model by its name, for images of a size.

    ``NAME+MODULE:FUNCTION`` is what a function makes of the built model, as in
    ``gcvit:tiny+tests.models.gcvit.plain:PlainGCViT``.

    Raises:
        UserError: There is no such model.
    """
    name, _, wrapper = name.partition('+')
    if wrapper:
        return resolve_name(wrapper)(build(name, size))
    if name.endswith('.py'):
        return build_whole(name)
    kind, _, rest = name.partition(':')
    arch, _, window = rest.partition('@')
    # Not their ablation variants, which derive from them.
    ours = {key.lower(): cls for key, cls in list_networks().items() if PyramidBackbone in cls.__bases__}
    if kind in ours:
        return ours[kind](arch, drop_path_rate=0.0, **({'window_size': int(window)} if window else {}))
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
            model = create(img_size=size)
        except TypeError:  # a model for images of any size
            model = create()
        model.forward = model.forward_features
        return model
    raise UserError(f'there is no model {name!r}; expected {NAMES}')


def build_whole(config: str) -> nn.Module:
    """A config's model with random weights."""
    from mmengine.registry import MODELS

    cfg = read_config(config)
    enter_scope(cfg)
    for settings in iter_dicts([cfg.model]):
        settings.pop('init_cfg', None)
    return MODELS.build(cfg.model)


def time_in_turns(steps: Mapping[str, Step], rounds: int) -> dict[str, list[float]]:
    """Time each step in each round, in rotating order, so that other load affects all alike."""
    threads = torch.get_num_threads()
    timers = {name: Timer('step()', globals={'step': step}, num_threads=threads) for name, step in steps.items()}
    names, seconds = list(steps), {name: [] for name in steps}
    for turn in range(rounds if names else 0):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            # Warms up by one call, then times one, or as many as take 10 ms.
            seconds[name].append(timers[name].blocked_autorange(min_run_time=0.01).median)
    return seconds


def measure_peak(name: str, case: Case, threads: int) -> int:
    """Bytes that two steps need at most beyond what the process held before them: the device's, or the system's."""
    torch.set_num_threads(threads)
    step = case.prepare(build(name, case.size))
    if case.compiled:
        step()
    if case.device != 'cpu':
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path('/proc/self/clear_refs').write_text('5')  # Linux forgets the peak
        before = read_status('VmRSS')
    step()
    step()
    return (read_status('VmHWM') if case.device == 'cpu' else torch.cuda.max_memory_allocated()) - before


def read_status(key: str) -> int:
    """A number of Linux's account of this process, in bytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def compare(names: Sequence[str], case: Case, rounds: int, with_memory: bool) -> str:
    """Measure models alternately; return a Markdown table. Models that fail are reported on stderr and left out.

    Raises:
        UserError: No model could run the case.
    """
    steps: dict[str, Step] = {}
    torch.compiler.reset()  # graphs of other cases would count towards torch's limit
    for name in names:
        try:
            step = case.prepare(build(name, case.size))
            step()
        except Exception as error:
            sys.stderr.write(f'{name} left out of {case}: {type(error).__name__}: {get_first_line(error)}\n')
        else:
            steps[name] = step
    if not steps:
        raise UserError(f'no model could run {case}, see above')
    seconds = time_in_turns(steps, rounds)
    heads = ['model', 'median, ms', 'p10 to p90, ms', 'images/s', f'speed, {next(iter(steps))} = 1', 'peak memory, MB']
    rows, first = [], next(iter(seconds.values()))
    for name, found in seconds.items():
        median, spread = statistics.median(found), sorted(found)
        low, high = (spread[round(share * (len(spread) - 1))] for share in (0.1, 0.9))
        speed = statistics.median(base / own for base, own in zip(first, found, strict=True))
        memory = f'{get_peak_memory(name, case) / MEGABYTE:.0f}' if with_memory else ''
        figures = [f'{1000 * median:.4g}', f'{1000 * low:.4g} to {1000 * high:.4g}', f'{case.batch / median:.3g}']
        rows.append([name, *figures, f'{speed:.2f}', memory])
    return f'{case}\n\n{format_table(heads, rows)}'


def get_peak_memory(name: str, case: Case) -> int:
    """:func:`measure_peak`, on a CPU in a new process, which holds nothing of other models."""
    threads = torch.get_num_threads()
    if case.device != 'cpu':
        return measure_peak(name, case, threads)
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(measure_peak, name, case, threads).result()
