"""Match the weights of classes by name: a model that starts from one with other classes keeps those
of the classes that both have.

Only the last layers of heads depend on the classes. Each class has the same number of rows of their
weights and biases there, and some layers have a row that belongs to no class, for the background.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ..errors import MANY, shorten
from ..files import normalise
from .translating import StateDict

# Regular expressions for the layers whose rows belong to classes, at the end of a key without
# ``.weight`` or ``.bias``.
# A row a class: DINO's classifiers and label embeddings, semantic segmentors, and classifiers
PLAIN = re.compile(
    r'\.(cls_branches\.\d+|label_embedding|conv_seg)$|(^|\.)head\.(fc|layers\.head)$'
)
# A row a class, and mostly one more for the background: R-CNNs, Mask2Former
WITH_BACKGROUND = re.compile(r'\.(fc_cls|cls_embed)$')
# A row a class for each anchor, and the rows of an anchor are beside each other: RetinaNet and
# other heads of mmdet without proposals
BY_ANCHOR = re.compile(r'\.(retina_cls|conv_cls|gfl_cls|atss_cls|rtm_cls)(\.\d+)?$')
# Four rows a class, unless boxes are class-agnostic
BOXES = re.compile(r'\.fc_reg$')
# A row a class, unless masks are class-agnostic
MASKS = re.compile(r'\.conv_logits$')
PARAMETER = re.compile(r'\.(weight|bias)$')
# The attributes by which mmdet's heads say that all classes share boxes or masks
AGNOSTIC = ('reg_class_agnostic', 'class_agnostic')
BOX_SIZE = 4


@dataclass(frozen=True)
class Rows:
    """Which rows of a tensor belong to which class."""

    of_classes: Tensor  # (classes, n), the indices of each class's rows
    shared: Tensor  # (m,), those of the rows that belong to no class


@dataclass(frozen=True)
class ClassMatch:
    """The names of the classes of a checkpoint and of the model that starts from it.

    A name that is there several times, as ``crane`` in ImageNet, is matched in order. Names are
    compared in one Unicode form.
    """

    checkpoint: tuple[str, ...]
    model: tuple[str, ...]

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """The index in the checkpoint and in the model of each class that both have."""
        old, new = self.in_one_form
        numbers = {name: index for index, name in enumerate(number_repeated(old))}
        pairs = []
        for index, name in enumerate(number_repeated(new)):
            if name in numbers:
                pairs.append((numbers[name], index))
        return pairs

    @property
    def is_same(self) -> bool:
        """Whether the classes are the same, in one order."""
        old, new = self.in_one_form
        return old == new

    @property
    def in_one_form(self) -> tuple[list[str], list[str]]:
        """The names of the checkpoint and of the model in one Unicode form."""
        return [*map(normalise, self.checkpoint)], [*map(normalise, self.model)]

    def describe(self) -> str:
        """Return which classes are kept, new and left, each with their names."""
        old = {index for index, _ in self.pairs}
        kept = [index for _, index in self.pairs]
        known = {*kept}
        new = [name for index, name in enumerate(self.model) if index not in known]
        left = [name for index, name in enumerate(self.checkpoint) if index not in old]
        groups = {'kept': [self.model[index] for index in kept], 'new': new, 'left': left}
        texts = [f'{word}: {shorten(names, MANY) or "none"}' for word, names in groups.items()]
        return f'classes by name: {"; ".join(texts)}'


def number_repeated(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return each name with the number of times that it was there before."""
    counts: Counter[str] = Counter()
    numbered = []
    for name in names:
        numbered.append((name, counts[name]))
        counts[name] += 1
    return numbered


def find_rows(key: str, tensor: Tensor, module: nn.Module, num_classes: int) -> Rows | None:
    """Return which rows of a tensor belong to which class, or None if none do.

    Args:
        key: The tensor's key in the model.
        tensor: A weight or a bias, of the model or with another number of classes.
        module: The module of the model that has the tensor's layer, which says whether classes
            share boxes or masks.
        num_classes: The number of classes that the tensor is for.
    """
    layer, is_parameter = PARAMETER.subn('', key)
    if not is_parameter or not tensor.ndim:
        return None
    num_rows = len(tensor)
    shared = torch.arange(0)
    indices = torch.arange(num_rows)
    if any(getattr(module, name, False) for name in AGNOSTIC) and re.search(
        f'{BOXES.pattern}|{MASKS.pattern}', layer
    ):
        return None
    if WITH_BACKGROUND.search(layer) and num_rows - num_classes in (0, 1):
        return Rows(indices[:num_classes, None], indices[num_classes:])
    if (PLAIN.search(layer) or MASKS.search(layer)) and num_rows == num_classes:
        return Rows(indices[:, None], shared)
    if BOXES.search(layer) and num_rows == BOX_SIZE * num_classes:
        return Rows(indices.view(num_classes, BOX_SIZE), shared)
    if BY_ANCHOR.search(layer) and num_rows % num_classes == 0:
        return Rows(indices.view(-1, num_classes).T, shared)
    return None


def find_class_rows(
    key: str, *, loaded: Tensor, wanted: Tensor, module: nn.Module, match: ClassMatch
) -> tuple[Rows, Rows] | None:
    """Return the rows of classes of a checkpoint's tensor and of the model's, or None if the tensor
    does not depend on the classes, or fits in another way than by its rows.
    """
    old = find_rows(key, loaded, module, len(match.checkpoint))
    new = find_rows(key, wanted, module, len(match.model))
    if old is None or new is None or loaded.shape[1:] != wanted.shape[1:]:
        return None
    is_same_layer = old.of_classes.shape[1] == new.of_classes.shape[1]
    if not is_same_layer or len(old.shared) != len(new.shared):
        return None
    return old, new


@dataclass(frozen=True)
class ClassRows:
    """The tensor of a checkpoint of which a model with other classes takes some rows."""

    loaded: Tensor
    old: Rows
    new: Rows
    pairs: Sequence[tuple[int, int]]  # of ClassMatch

    def fill_in(self, fresh: Tensor) -> Tensor:
        """Return a tensor with the rows of known classes, and of no class, from the checkpoint.

        ``fresh`` is the model's, as it is initialised, from which the rows of new classes are. If
        no class is known, all are.
        """
        filled = fresh.clone()
        if not self.pairs:
            return filled
        loaded = self.loaded.to(fresh)
        for old_class, new_class in self.pairs:
            filled[self.new.of_classes[new_class]] = loaded[self.old.of_classes[old_class]]
        filled[self.new.shared] = loaded[self.old.shared]
        return filled


@dataclass(frozen=True)
class InitialWeights:
    """What a training takes of a checkpoint beside whole tensors, and a line that says all."""

    report: str
    class_rows: dict[str, ClassRows]  # by key: tensors of which some rows are taken

    def complete(self, whole: StateDict, initial: StateDict) -> StateDict:
        """Return the state dict with which a training starts.

        Args:
            whole: The tensors of the checkpoint that are taken as they are.
            initial: The state dict of the model as it is initialised.
        """
        filled = {name: rows.fill_in(initial[name]) for name, rows in self.class_rows.items()}
        return {**initial, **whole, **filled}
