"""What is timed: a step of a whole model, made from its config; of a kind that another process can make too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from ...inference import UserError, load
from ...inference.images import read_image
from ...inference.loading import build_model, kind_of, quiet_hosts, read_config, untrained
from .made_samples import training_samples

Step = Callable[[], None]


@dataclass(frozen=True)
class Inference:
    """From prepared images to results: preprocessor, network, post-processing at the photo's own size.

    Attributes:
        config: The config file.
        checkpoint: A file or an address; None for random weights.
        device: By its name.
        size: Height and width in pixels of the photo that the test pipeline gets, of random colours.
        photo: A file to take instead.
    """

    config: str
    checkpoint: str | None
    device: str
    size: tuple[int, int]
    photo: str | None = None
    trust_checkpoint: bool = False

    def build(self, batch_size: int) -> tuple[nn.Module, Step, tuple[int, ...]]:
        """The model, what does it once for a batch, and the shape (3, height, width) of one prepared image.

        Raises:
            UserError: The config's test pipeline cannot prepare the photo, or it cannot be read.
            CheckpointError: The checkpoint cannot be used.
        """
        if self.checkpoint is None:
            predictor = untrained(read_config(Path(self.config)), self.config)
        else:
            predictor = load(self.config, self.checkpoint, self.device, trust_checkpoint=self.trust_checkpoint)
        model = predictor.network.to(self.device)
        packed = predictor.packed(noise(self.size) if self.photo is None else read_image(self.photo, predictor.loader))

        def step() -> None:
            # Some preprocessors change what they are given.
            data = pseudo_collate([copied(packed) for _ in range(batch_size)])
            with torch.no_grad(), predictor.in_scope():
                model.test_step(data)
            wait_for(self.device)

        return model, step, tuple(packed['inputs'].shape)

    def prepare(self, batch_size: int) -> Step:
        """What :meth:`build` says is to be done."""
        return self.build(batch_size)[1]


@dataclass(frozen=True)
class Training:
    """A training step: preprocessor, forward and backward pass, the optimizer; in the config's precision.

    Attributes:
        config: The config file.
        device: By its name.
        size: Height and width in pixels of the photo that the train pipeline gets, of random colours.
    """

    config: str
    device: str
    size: tuple[int, int]

    def build(self, batch_size: int) -> tuple[nn.Module, Step, tuple[int, ...]]:
        """As :meth:`Inference.build`; the shape is that of the largest of some draws of the train pipeline.

        Raises:
            UserError: There is no such pipeline, or it cannot prepare the photo.
        """
        cfg = read_config(Path(self.config))
        kind = kind_of(cfg, self.config)
        with DefaultScope.overwrite_default_scope(kind.scope), quiet_hosts():
            model = build_model(cfg).to(self.device).train()
            try:
                optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
            except (AssertionError, ValueError, RuntimeError) as error:
                raise UserError(f'{self.config}: its optim_wrapper does not run on {self.device}: {error}') from None
            samples = training_samples(cfg, kind.scope, noise(self.size), batch_size)
        collate = default_collate if kind.scope == 'mmpretrain' else pseudo_collate

        def step() -> None:
            with DefaultScope.overwrite_default_scope(kind.scope):
                model.train_step(collate([copied(sample) for sample in samples]), optim_wrapper=optimizer)
            wait_for(self.device)

        return model, step, tuple(samples[0]['inputs'].shape)

    def prepare(self, batch_size: int) -> Step:
        """What :meth:`build` says is to be done."""
        return self.build(batch_size)[1]


def noise(size: tuple[int, int]) -> np.ndarray:
    """A photo of random colours (height, width, 3) uint8, the same each time."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def copied(packed: Mapping[str, Any]) -> dict[str, Any]:
    """A prepared image whose data sample may be changed."""
    return {**packed, 'data_samples': packed['data_samples'].clone()} if 'data_samples' in packed else {**packed}


def wait_for(device: str) -> None:
    """Have a GPU end what it was given to do."""
    if device != 'cpu':
        torch.cuda.synchronize(device)
