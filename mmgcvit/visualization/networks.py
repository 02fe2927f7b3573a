"""The parts of a network that pictures are made of: found by number, and heard while the network runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..inference import Predictor, UserError
from ..models.base import PyramidBackbone

# Pixels between two tokens of the first stage, where the stem says nothing else; each further stage has twice as many.
STEM_STRIDE = 4
# A map of fewer tokens on its shorter side tells no places apart.
FEWEST_TOKENS = 4


def backbone_of(model: Predictor) -> PyramidBackbone:
    """The backbone of a loaded model.

    Raises:
        UserError: It is none of this package.
    """
    backbone = getattr(model.network, 'backbone', None)
    if not isinstance(backbone, PyramidBackbone):
        raise UserError(
            f'the backbone is {type(backbone).__name__}; pictures are made of the backbones of mmgcvit, such as '
            'mmgcvit.GCViT and mmgcvit.LSA'
        )
    return backbone


def chosen(what: str, number: int | None, count: int, default: int, where: str = '') -> int:
    """A number, or the default; refused where there is no part of that number.

    Args:
        what: What is counted, for the message.
        number: What was asked for.
        count: How many there are.
        default: What None means.
        where: Of what it is a part, for the message; begins with a blank.

    Raises:
        UserError: It is out of range.
    """
    number = default if number is None else number
    if not 0 <= number < count:
        existing = f'0 to {count - 1}' if count > 1 else '0 only'
        raise UserError(f'there is no {what} {number}{where}; there are {existing}')
    return number


def stride_of(backbone: PyramidBackbone, stage: int) -> int:
    """Pixels of the input between two tokens of a stage."""
    return getattr(backbone.stem, 'stride', STEM_STRIDE) * 2**stage


@contextmanager
def recorded_inputs(modules: Sequence[nn.Module]) -> Iterator[list[tuple[Any, ...]]]:
    """What modules are called with inside of the context: a list, at the end of which there is something of each."""
    kept: list[tuple[Any, ...]] = [()] * len(modules)

    def keep(number: int) -> Any:
        def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            kept[number] = inputs

        return hook

    handles = [module.register_forward_pre_hook(keep(i)) for i, module in enumerate(modules)]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def inputs_of(backbone: PyramidBackbone, images: Tensor, modules: Sequence[nn.Module]) -> list[tuple[Any, ...]]:
    """What each of the modules gets when the backbone computes images.

    Args:
        backbone: In which they are.
        images: (B, C, H, W).
        modules: Of the backbone.

    Raises:
        UserError: The network cannot take the images.
    """
    with recorded_inputs(modules) as inputs:
        try:
            backbone(images)
        except (ValueError, RuntimeError) as error:
            raise UserError(f'the network cannot take the image ({error})') from None
    return inputs


def last_detailed_stage(backbone: PyramidBackbone, images: Tensor, last: int) -> int:
    """The last stage, of those up to ``last``, whose map has enough tokens to tell places apart; of none the first."""
    heard = inputs_of(backbone, images, [stage.blocks[-1] for stage in backbone.stages])
    sides = [min(inputs[0].shape[-3:-1]) for inputs in heard[: last + 1]]
    return max((stage for stage, side in enumerate(sides) if side >= FEWEST_TOKENS), default=0)
