"""Measure and compare the time and, on a GPU, peak memory of backbones and whole models.

Weights are random, images are noise, and backbones have no drop path. :func:`compare` measures models in one setting,
for example a batch size and a precision.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from ..config import enter_scope, iter_dicts, read_config
from ..errors import UserError, get_first_line
from ..models.base import PyramidBackbone
from ..registry import list_networks

MEGABYTE = 1 << 20
PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
MODEL_NAMES = 'gcvit:ARCH, gcvit:ARCH@WINDOW, lsa:ARCH, timm:NAME, or a config file'
NUM_OBJECTS = 7  # ground truth objects in each image for detectors, the mean of COCO
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
        """Return a function that runs one iteration of a backbone or of a whole model of an OpenMMLab package."""
        training = self.mode == 'train'
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
    """Create a batch of random images with annotations, in the format of a dataloader of the model's package."""
    # The package may be that of a base class: mmdet_fixes.py has subclasses of mmdet's models.
    packages = {cls.__module__.split('.')[0] for cls in type(model).__mro__}
    package, shape = next(name for name in ('mmdet', 'mmseg', 'mmpretrain') if name in packages), (3, *case.size)
    if package == 'mmdet':
        from mmdet.testing import demo_mm_inputs

        num_objects = [NUM_OBJECTS] * case.batch
        return demo_mm_inputs(case.batch, [shape] * case.batch, num_objects, with_mask=True, use_box_type=True)
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
    """Build a model by its name, for images of this (height, width).

    For the name ``NAME+MODULE:FUNCTION``, build the model ``NAME`` and return the function's result for it, for example
    ``gcvit:tiny+tests.models.gcvit.plain:PlainGCViT``.

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
        return MODELS.build(cfg.model)
    family, _, arch_and_window = name.partition(':')
    arch, _, window = arch_and_window.partition('@')
    # Direct subclasses only: ablation variants are subclasses of these networks and are left out.
    networks = {key.lower(): cls for key, cls in list_networks().items() if PyramidBackbone in cls.__bases__}
    if family in networks:
        return networks[family](arch, drop_path_rate=0.0, **({'window_size': int(window)} if window else {}))
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
    """Return each step's seconds, one per round. The order rotates, so that other programs slow all steps alike."""
    threads = torch.get_num_threads()
    timers = {name: Timer('step()', globals={'step': step}, num_threads=threads) for name, step in steps.items()}
    names, seconds = list(steps), {name: [] for name in steps}
    for round_index in range(rounds if names else 0):
        first = round_index % len(names)
        for name in names[first:] + names[:first]:
            # torch warms up with at least one call, then times calls until 10 ms have passed.
            seconds[name].append(timers[name].blocked_autorange(min_run_time=0.01).median)
    return seconds


def measure_peak_memory(name: str, case: Case) -> int:
    """Return the peak of the memory that torch allocates on a GPU in two steps, minus that in use before, in bytes."""
    step = case.prepare(build(name, case.size))
    if case.compiled:
        step()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    step()
    return torch.cuda.max_memory_allocated() - before


def compare(names: Sequence[str], case: Case, rounds: int) -> str:
    """Measure models in turns and return a Markdown table. Leave out models that fail, and name them on stderr.

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
            sys.stderr.write(f'{name} left out of {case}: {type(error).__name__}: {get_first_line(error)}\n')
        else:
            steps[name] = step
    if not steps:
        raise UserError(f'no model could run {case}. The lines above say why')
    seconds = time_alternately(steps, rounds)
    header = ['model', 'median, ms', 'p10 to p90, ms', 'images/s', f'speed, {next(iter(steps))} = 1']
    header += ['peak memory, MB'] if case.device == 'cuda' else []
    rows, baseline_times = [], next(iter(seconds.values()))
    for name, times in seconds.items():
        p10, median, p90 = np.quantile(times, (0.1, 0.5, 0.9))
        speed = np.median(np.divide(baseline_times, times))
        cells = [f'{1000 * median:.4g}', f'{1000 * p10:.4g} to {1000 * p90:.4g}', f'{case.batch / median:.3g}']
        memory = [f'{measure_peak_memory(name, case) / MEGABYTE:.0f}'] if case.device == 'cuda' else []
        rows.append([name, *cells, f'{speed:.2f}', *memory])
    return f'{case}\n\n{format_table(header, rows)}'


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    return ''.join(f'| {" | ".join(row)} |\n' for row in [header, ['---'] * len(header), *rows])
