"""How a backbone's ``arch`` is read: from the name of a variant, a dict of a variant's attributes, or from weights."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from torch import Tensor

from .arguments import number

VariantType = TypeVar('VariantType', bound='Variant')


def attribute(read: Callable[[Any], Any], expected: str, **default: Any) -> Any:
    """A field of a :class:`Variant`.

    Args:
        read: Returns the value in its type, or raises TypeError or ValueError.
        expected: What is allowed, in words.
        default: ``default=...``, if there is one.
    """
    return field(metadata={'read': read, 'expected': expected}, **default)


@dataclass(frozen=True)
class Variant:
    """Base of the frozen dataclasses that describe a backbone's variants. Their fields are made by :func:`attribute`.

    Raises:
        ValueError: An attribute is not what its field expects.
    """

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            try:
                object.__setattr__(self, each.name, each.metadata['read'](value))
            except (TypeError, ValueError):
                raise ValueError(f'arch: {each.name} is {value!r}; expected {each.metadata["expected"]}') from None

    @staticmethod
    def seen_in(tensors: Mapping[str, Tensor], num_stages: int | None = None) -> dict[str, Any]:
        """The ``arch`` of a network with these tensors, by their names and shapes.

        Args:
            tensors: Weights by their names in the backbone. Zeros stand for what is missing.
            num_stages: How many stages to look at, all by default.
        """
        raise NotImplementedError

    @staticmethod
    def in_words(seen: Mapping[str, Any]) -> str:
        """What :meth:`seen_in` found, as far as weights tell it."""
        raise NotImplementedError


def resolve_variant(arch: str | Mapping[str, Any], variants: Mapping[str, VariantType]) -> VariantType:
    """Return the variant of that name, or the one that a dict of attributes describes.

    Args:
        arch: From the user.
        variants: Name to variant, all of one type.

    Raises:
        ValueError: The name is unknown, or the dict lacks a key, has one too many or holds impossible values.
        TypeError: ``arch`` is neither a name nor a dict.
    """
    if isinstance(arch, str):
        if arch not in variants:
            raise ValueError(f'unknown arch {arch!r}; choose one of {", ".join(map(repr, variants))}, or give a dict')
        return variants[arch]
    if not isinstance(arch, Mapping):
        raise TypeError(f'arch must be a name or a dict, not {type(arch).__name__}: {arch!r}')
    (variant_class,) = {type(variant) for variant in variants.values()}
    known = [each.name for each in fields(variant_class)]
    required = [each.name for each in fields(variant_class) if each.default is MISSING]
    unknown, missing = sorted(map(str, set(arch) - set(known))), [name for name in required if name not in arch]
    if unknown or missing:
        raise ValueError(f'arch: unknown keys {unknown}, missing keys {missing}; the keys are {known}')
    return variant_class(**arch)


def where(read: Callable[[Any], Any], holds: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """A reader of what ``read`` reads, as far as a condition holds for it."""

    def read_and_check(value: Any) -> Any:
        value = read(value)
        if not holds(value):
            raise ValueError(f'{value!r}')
        return value

    return read_and_check


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of what ``read`` reads, or None."""
    return lambda value: None if value is None else read(value)


def count_blocks(tensors: Iterable[str]) -> Counter[int]:
    """How many blocks weights of these names have in each stage."""
    blocks = {match.groups() for name in tensors if (match := re.match(r'stages\.(\d+)\.blocks\.(\d+)\.', name))}
    return Counter(int(stage) for stage, _ in blocks)


def side(tensors: Mapping[str, Tensor], name: str, dim: int) -> int:
    """The size of a dimension of one of the tensors, 0 where there is no such tensor or dimension."""
    try:
        return tensors[name].shape[dim]
    except (KeyError, IndexError):
        return 0


def mlp_ratio(tensors: Mapping[str, Tensor]) -> float:
    """Channels inside the first MLP as a multiple of the others; rounded up, as the product is rounded down again."""
    hidden_dims, embed_dims = (side(tensors, 'stages.0.blocks.0.mlp.fc1.weight', dim) for dim in (0, 1))
    return math.nextafter(hidden_dims / embed_dims, math.inf) if hidden_dims else 0.0


MLP_RATIO = where(number, lambda ratio: ratio >= 0.1), 'a number of at least 0.1'
