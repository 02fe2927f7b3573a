"""Images per second and memory of a whole model, as its config runs it: in inference, and in training steps.

:class:`Inference` and :class:`Training` make a step of a kind that another process can make too; :func:`measure` times
it. No data set is needed: images are made up, and put through the config's own pipelines.
"""

import gc
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate, pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.runner import set_random_seed
from torch import nn

from ..datasets.checks.loading import loads
from ..datasets.checks.sources import leaf_datasets
from ..errors import UserError, first_line
from ..hosts.configs import read_config
from ..hosts.mmengine import building_in
from ..inference import load
from ..inference.images import read_image
from ..inference.loading import build_model, build_predictor, choose_predictor, silence_output
from .measuring import Step, Timing, peak_memory_of, time_side_by_side, wait_for

WARMUP = 2
PARTS = ('backbone', 'neck')
REST = 'heads and the rest'
# Of each made-up image; COCO has seven on average.
NUM_OBJECTS = 7
# Pipelines draw sizes: the largest of so many is taken, which the memory must suffice for.
DRAWS = 20


@dataclass(frozen=True)
class Inference:
    """From prepared images to results: preprocessor, network, post-processing at the photo's own size."""

    config: str
    checkpoint: str | None  # a file or an address; None for random weights
    device: str
    size: tuple[int, int]  # height and width in pixels of the photo that the pipeline gets, of random colours
    photo: str | None = None  # a file to take instead
    trust_checkpoint: bool = False

    def build(self, batch_size: int) -> tuple[nn.Module, Step, tuple[int, ...]]:
        """The model, what does it once for a batch, and the shape (3, height, width) of one prepared image."""
        with silence_output():
            if self.checkpoint is None:
                predictor = build_predictor(read_config(self.config), self.config)
            else:
                predictor = load(self.config, self.checkpoint, self.device, trust_checkpoint=self.trust_checkpoint)
        model = predictor.network.to(self.device)
        packed = predictor.prepare_image(
            noise(self.size) if self.photo is None else read_image(self.photo, predictor.loader)
        )

        def step() -> None:
            # Some preprocessors change what they are given.
            data = pseudo_collate([copied(packed) for _ in range(batch_size)])
            with torch.no_grad():
                model.test_step(data)
            wait_for(self.device)

        return model, step, tuple(packed['inputs'].shape)


@dataclass(frozen=True)
class Training:
    """A training step: preprocessor, forward and backward pass, the optimizer; in the config's precision."""

    config: str
    device: str
    size: tuple[int, int]

    def build(self, batch_size: int) -> tuple[nn.Module, Step, tuple[int, ...]]:
        """As :meth:`Inference.build`; the shape is that of the largest of some draws of the train pipeline."""
        cfg = read_config(self.config)
        kind = choose_predictor(cfg, self.config)
        with building_in(kind.scope), silence_output():
            model = build_model(cfg).to(self.device).train()
            try:
                optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
            except (AssertionError, ValueError, RuntimeError) as error:
                raise UserError(f'{self.config}: its optim_wrapper does not run on {self.device}: {error}') from None
            samples = [training_sample(cfg, kind.scope, noise(self.size))] * batch_size
        collate = default_collate if kind.scope == 'mmpretrain' else pseudo_collate

        def step() -> None:
            with building_in(kind.scope):
                model.train_step(collate([copied(sample) for sample in samples]), optim_wrapper=optimizer)
            wait_for(self.device)

        return model, step, tuple(samples[0]['inputs'].shape)


def noise(size: tuple[int, int]) -> np.ndarray:
    """A photo of random colours (height, width, 3) uint8, the same each time."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def copied(packed: Mapping[str, Any]) -> dict[str, Any]:
    """A prepared image whose data sample may be changed."""
    return {**packed, 'data_samples': packed['data_samples'].clone()} if 'data_samples' in packed else {**packed}


def training_sample(cfg: Config, scope: str, image: np.ndarray) -> dict[str, Any]:
    """An image (height, width, 3) through the config's train pipeline, packed as the host's model takes it.

    Sets Python's, NumPy's and torch's random numbers.
    """
    dataset = next(leaf_datasets((cfg.get('train_dataloader') or {}).get('dataset')), None)
    steps = [step for step in (dataset or {}).get('pipeline') or [] if not loads(step)]
    if not steps:
        raise UserError(
            'the config has no train_dataloader whose pipeline works on one image at a time: training steps need one, '
            'and mosaics and the like are not timed'
        )
    set_random_seed(0)
    try:
        pipeline = Compose(steps)
        drawn = [pipeline(made(scope, image)) for _ in range(DRAWS)]
    # What transforms raise where they need several images, or more than what is made up here.
    except Exception as error:
        raise UserError(f'the train pipeline does not work on one made-up image: {first_line(error)}') from None
    drawn = [sample for sample in drawn if sample is not None and 'inputs' in sample]
    if not drawn:
        raise UserError('the train pipeline packs no sample of a made-up image')
    return max(drawn, key=lambda sample: sample['inputs'].numel())


def made(scope: str, image: np.ndarray) -> dict[str, Any]:
    """What a pipeline has after loading: an image, and something that is true of it."""
    height, width = image.shape[:2]
    results = {'img': image.copy(), 'img_shape': (height, width), 'ori_shape': (height, width), 'img_path': ''}
    if scope == 'mmpretrain':
        return {**results, 'gt_label': 0}
    if scope == 'mmseg':
        labels = np.zeros((height, width), np.uint8)
        labels[height // 2 :] = 1
        return {**results, 'gt_seg_map': labels, 'seg_fields': ['gt_seg_map'], 'reduce_zero_label': False}
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    # Boxes and masks of a quarter of each side, along the diagonal.
    shares = np.linspace(0, 0.75, NUM_OBJECTS)
    sides = np.array([width, height, width, height], np.float32)
    boxes = np.stack([shares, shares, shares + 0.25, shares + 0.25], axis=1).astype(np.float32) * sides
    masks = np.zeros((NUM_OBJECTS, height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = 1
    objects = {
        'gt_bboxes': HorizontalBoxes(boxes),
        'gt_bboxes_labels': np.zeros(NUM_OBJECTS, np.int64),
        'gt_ignore_flags': np.zeros(NUM_OBJECTS, bool),
        'gt_masks': BitmapMasks(masks, height, width),
    }
    return {**results, **objects, 'img_id': 0, 'height': height, 'width': width}


@dataclass(frozen=True)
class Row:
    """What was measured."""

    batch_size: int
    shape: tuple[int, ...]  # (3, height, width) of an image as it comes from the pipeline
    timing: Timing
    weights: int  # bytes of parameters and buffers
    peak: int | None  # bytes at most beyond the weights; None where it was not asked for
    parts: dict[str, float]  # seconds of each part of the model, in inference


def measure(work: Inference | Training, batch_size: int, rounds: int, with_memory: bool = True) -> Row | str:
    """Time a step after a warm-up, and then its memory in a process of its own.

    Gives a sentence where that cannot be done for so many images: for want of memory, above all.
    """
    try:
        model, step, shape = work.build(batch_size)
    except torch.cuda.OutOfMemoryError as error:
        return first_line(error)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))
    try:
        timing = time_side_by_side({'': step}, rounds, WARMUP)['']
        parts = seconds_of_parts(model, step, work.device, rounds) if isinstance(work, Inference) else {}
    # Of memory and kernels; and of batches that are too small for a norm.
    except (RuntimeError, ValueError) as error:
        return first_line(error)
    finally:
        # The other process is to have the device's memory.
        del model, step
        gc.collect()
        if work.device != 'cpu':
            torch.cuda.empty_cache()
    try:
        peak = peak_memory_of(partial(step_of, work, batch_size), work.device) if with_memory else None
    except RuntimeError as error:
        return first_line(error)
    return Row(batch_size, shape, timing, weights, peak, parts)


def step_of(work: Inference | Training, batch_size: int) -> Step:
    """What is to be done, made in another process."""
    return work.build(batch_size)[1]


def seconds_of_parts(model: nn.Module, step: Step, device: str, rounds: int) -> dict[str, float]:
    """Seconds of a step in each part that the model has, medians over rounds; a GPU is waited for between parts."""
    began, spent = {}, defaultdict(list)

    def before(name: str, *_: object) -> None:
        wait_for(device)
        began[name] = time.perf_counter()

    def after(name: str, *_: object) -> None:
        wait_for(device)
        spent[name][-1] += time.perf_counter() - began[name]

    parts = {name: getattr(model, name) for name in PARTS if isinstance(getattr(model, name, None), nn.Module)}
    hooks = [part.register_forward_pre_hook(partial(before, name)) for name, part in parts.items()]
    hooks += [part.register_forward_hook(partial(after, name)) for name, part in parts.items()]
    try:
        for _ in range(rounds):
            for name in parts:
                spent[name].append(0.0)
            start = time.perf_counter()
            step()
            whole = time.perf_counter() - start
            spent[REST].append(whole - sum(spent[name][-1] for name in parts))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: median(spent[name]) for name in (*parts, REST)}
