"""Match the weights of classes by name: a model that starts from one with other classes keeps those
of the classes that both have.

Only the last layers of heads depend on the classes. Each class has the same number of rows of their
weights and biases there, and some layers have a row that belongs to no class, for the background.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from ..errors import MANY, shorten
from ..host.files import normalise
from .translating import StateDict

# Regular expressions for the layers whose rows belong to classes, at the end of a key without
# ``.weight`` or ``.bias``.
# A row a class: DINO's classifiers and label embeddings, semantic segmentors, and classifiers
PLAIN = r'\.(cls_branches\.\d+|label_embedding|conv_seg)$|(^|\.)head\.(fc|layers\.head)$'
# A row a class, and mostly one more for the background: R-CNNs, Mask2Former
WITH_BACKGROUND = r'\.(fc_cls|cls_embed)$'
# A row a class for each anchor, and the rows of an anchor are beside each other: RetinaNet and
# other heads of mmdet without proposals
BY_ANCHOR = r'\.(retina_cls|conv_cls|gfl_cls|atss_cls|rtm_cls)(\.\d+)?$'
# Four rows a class, unless boxes are class-agnostic
BOXES = r'\.fc_reg$'
# A row a class, unless masks are class-agnostic
MASKS = r'\.conv_logits$'
# The attributes by which mmdet's heads say that all classes share boxes or masks
AGNOSTIC = ('reg_class_agnostic', 'class_agnostic')
BOX_SIZE = 4


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
        numbers = {name: index for index, name in enumerate(number_repeated(self.checkpoint))}
        new = enumerate(number_repeated(self.model))
        return [(numbers[name], index) for index, name in new if name in numbers]

    @property
    def is_same(self) -> bool:
        """Whether the classes are the same, in one order."""
        return [*map(normalise, self.checkpoint)] == [*map(normalise, self.model)]

    def describe(self) -> str:
        """Return which classes are kept, new and left, each with their names."""
        old_indices = {old for old, _ in self.pairs}
        new_indices = [new for _, new in self.pairs]
        groups = {
            'kept': [self.model[index] for index in new_indices],
            'new': [name for index, name in enumerate(self.model) if index not in new_indices],
            'left': [x for index, x in enumerate(self.checkpoint) if index not in old_indices],
        }
        texts = [f'{word}: {shorten(names, MANY) or "none"}' for word, names in groups.items()]
        return f'classes by name: {"; ".join(texts)}'


def number_repeated(names: Iterable[str]) -> list[tuple[str, int]]:
    """Return each name in one Unicode form, with the number of times that it is there up to it."""
    counts: Counter[str] = Counter()
    numbered = []
    for name in map(normalise, names):
        counts[name] += 1
        numbered.append((name, counts[name]))
    return numbered


def split_rows(
    key: str, tensor: Tensor, module: nn.Module, num_classes: int
) -> tuple[Tensor, Tensor] | None:
    """Return the rows of each class (classes, n, ...) and those of no class, as views of a tensor,
    or None if its rows do not belong to classes.

    Args:
        key: The tensor's key in the model.
        tensor: A weight or a bias, of the model or with another number of classes.
        module: The module of the model that has the tensor's layer, which says whether classes
            share boxes or masks.
        num_classes: The number of classes that the tensor is for.
    """
    layer, is_parameter = re.subn(r'\.(weight|bias)$', '', key)
    if not is_parameter or not tensor.ndim:
        return None
    num_rows = len(tensor)
    is_agnostic = any(getattr(module, name, False) for name in AGNOSTIC)
    if is_agnostic and re.search(f'{BOXES}|{MASKS}', layer):
        return None
    if re.search(WITH_BACKGROUND, layer) and num_rows - num_classes in (0, 1):
        return tensor[:num_classes, None], tensor[num_classes:]
    if re.search(f'{PLAIN}|{MASKS}', layer) and num_rows == num_classes:
        return tensor[:, None], tensor[:0]
    if re.search(BOXES, layer) and num_rows == BOX_SIZE * num_classes:
        return tensor.unflatten(0, (num_classes, BOX_SIZE)), tensor[:0]
    if re.search(BY_ANCHOR, layer) and num_rows % num_classes == 0:
        return tensor.unflatten(0, (-1, num_classes)).transpose(0, 1), tensor[:0]
    return None


def fill_rows(
    key: str, fresh: Tensor, loaded: Tensor, module: nn.Module, match: ClassMatch
) -> Tensor:
    """Return a tensor with the rows of known classes, and of no class, from a checkpoint. Return
    ``fresh`` itself if it does not depend on the classes, or fits in another way than by its rows.

    Args:
        key: The tensor's key in the model.
        fresh: The model's tensor, as it is initialised, from which the rows of new classes are. If
            no class is known, all are.
        loaded: The checkpoint's tensor.
        module: That of :func:`split_rows`.
        match: The names of the classes.
    """
    filled = fresh.clone()
    old = split_rows(key, loaded.to(fresh), module, len(match.checkpoint))
    new = split_rows(key, filled, module, len(match.model))
    if old is None or new is None:
        return fresh
    old_classes, old_shared = old
    new_classes, new_shared = new
    if old_classes.shape[1:] != new_classes.shape[1:] or old_shared.shape != new_shared.shape:
        return fresh
    for old_class, new_class in match.pairs:
        new_classes[new_class] = old_classes[old_class]
    if match.pairs:
        new_shared.copy_(old_shared)
    return filled


@dataclass(frozen=True)
class InitialWeights:
    """What a training takes of a checkpoint beside whole tensors, and a line that says all."""

    report: str
    # By key, of tensors of which some rows are taken: :func:`fill_rows` with all but ``fresh``
    by_class: Mapping[str, Callable[[Tensor], Tensor]]

    def complete(self, whole: StateDict, initial: StateDict) -> StateDict:
        """Return the state dict with which a training starts.

        Args:
            whole: The tensors of the checkpoint that are taken as they are.
            initial: The state dict of the model as it is initialised.
        """
        filled = {name: fill(initial[name]) for name, fill in self.by_class.items()}
        return {**initial, **whole, **filled}
