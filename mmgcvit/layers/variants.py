"""How a backbone's ``arch`` argument is read: the name of a variant, or a dict of a variant's attributes."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from .arguments import at_least, number, whole_number, whole_numbers

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


def whole(least: int) -> Callable[[Any], int]:
    """A reader of whole numbers of at least ``least``."""
    return lambda value: int(at_least(least, whole_number(value)))


def wholes(count: int | None = None) -> Callable[[Any], tuple[int, ...]]:
    """A reader of sequences of whole numbers of at least 1: ``count`` of them, or at least one."""

    def read(values: Any) -> tuple[int, ...]:
        values = tuple(int(at_least(1, value)) for value in whole_numbers(values))
        if not values or count not in (None, len(values)):
            raise ValueError(f'{len(values)} values')
        return values

    return read


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of what ``read`` reads, or None."""
    return lambda value: None if value is None else read(value)


def ratio(value: Any) -> float:
    """A number of at least 0.1."""
    return at_least(0.1, number(value))


def one_of(*allowed: Any) -> Callable[[Any], Any]:
    """A reader of values that are listed, by value and type."""

    def read(value: Any) -> Any:
        if not any(value == known and type(value) is type(known) for known in allowed):
            raise ValueError(f'{value!r}')
        return value

    return read
