"""What a backbone is given to do: images of a size, to infer or to train, in a precision, eager or compiled."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import torch
from torch import nn


class Mode(Enum):
    INFER = 'infer'
    TRAIN = 'train'


class Precision(Enum):
    """The dtype of autocast; fp32 is without."""

    FP32 = 'fp32'
    BF16 = 'bf16'
    FP16 = 'fp16'

    @property
    def dtype(self) -> torch.dtype:
        return {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}[self.value]


@dataclass(frozen=True)
class Case:
    """One thing to do.

    Attributes:
        size: Height and width of the images in pixels.
        batch: How many images at a time.
        mode: Inference, or a training step: forward and backward pass, without an optimizer.
        precision: Of autocast.
        compiled: Whether by ``torch.compile``.
        device: ``'cpu'`` or ``'cuda'``.
    """

    size: tuple[int, int]
    batch: int
    mode: Mode = Mode.INFER
    precision: Precision = Precision.FP32
    compiled: bool = False
    device: str = 'cpu'

    def __str__(self) -> str:
        compiled = 'compiled' if self.compiled else 'eager'
        return f'{self.batch} x {self.size[0]}x{self.size[1]}, {self.mode.value}, {self.precision.value}, {compiled}'

    def as_dict(self) -> dict[str, Any]:
        """The case in words and numbers, for JSON."""
        return asdict(self) | {'mode': self.mode.value, 'precision': self.precision.value}

    def prepare(self, model: nn.Module) -> Callable[[], None]:
        """What to call, as often as wished, to do it with a model; returns when it is done, on a GPU too."""
        model.to(self.device)
        model.train(self.mode is Mode.TRAIN)  # of which some hosts' models return nothing
        images = torch.randn(self.batch, 3, *self.size, device=self.device)
        if self.compiled:
            torch.compiler.reset()  # or the graph would be one for the sizes of all cases
        called = torch.compile(model) if self.compiled else model
        lowered = self.precision is not Precision.FP32
        autocast = torch.autocast(self.device, self.precision.dtype) if lowered else nullcontext()

        def infer() -> None:
            with torch.no_grad(), autocast:
                called(images)

        def train() -> None:
            model.zero_grad()
            with autocast:
                maps = called(images)
            sum(found.float().abs().mean() for found in maps).backward()

        step = infer if self.mode is Mode.INFER else train
        if self.device == 'cpu':
            return step

        def step_on_gpu() -> None:
            step()
            torch.cuda.synchronize()

        return step_on_gpu
