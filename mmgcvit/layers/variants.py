"""How a backbone's ``arch`` argument is read: the name of a variant, or a dict of a variant's attributes."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

Variant = TypeVar('Variant')


def resolve_variant(arch: str | Mapping[str, Any], variants: Mapping[str, Variant]) -> Variant:
    """Return the variant of that name, or the one that a dict of attributes describes.

    Args:
        arch: From the user.
        variants: Name to variant, frozen dataclasses of one type.

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
    known = [field.name for field in fields(variant_class)]
    required = [field.name for field in fields(variant_class) if field.default is MISSING]
    unknown, missing = sorted(map(str, set(arch) - set(known))), [name for name in required if name not in arch]
    if unknown or missing:
        raise ValueError(f'arch: unknown keys {unknown}, missing keys {missing}; the keys are {known}')
    return variant_class(**arch)


def read_attributes(variant: object, readers: Mapping[str, Callable[[Any], Any]], expected: Mapping[str, str]) -> None:
    """Replace the attributes of a frozen dataclass by what their readers make of them.

    Args:
        variant: Changed in place; for its ``__post_init__``.
        readers: Attribute to a function that returns its value, or raises ValueError or TypeError.
        expected: Attribute to what is allowed, in words.

    Raises:
        ValueError: A reader refused its attribute.
    """
    for name, read in readers.items():
        try:
            object.__setattr__(variant, name, read(getattr(variant, name)))
        except (TypeError, ValueError):
            raise ValueError(f'arch: {name} is {getattr(variant, name)!r}; expected {expected[name]}') from None
