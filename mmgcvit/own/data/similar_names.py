"""Find names of classes that may be one class in two spellings."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import combinations

MERGE = 'merge'
KEEP = 'keep'
# The values of ``--similar-classes``, and what they do with two names that are nearly equal
ANSWERS = {MERGE: 'they are one class, with the first name', KEEP: 'they are two classes'}


def find_similar(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of names that are equal but for case, Unicode form, separators or the plural,
    in the order of the names. A name that is there twice is one.
    """
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    by_form: dict[str, list[str]] = {}
    for name in order:
        for form in list_forms(name):
            by_form.setdefault(form, []).append(name)
    pairs = {pair for own in by_form.values() for pair in combinations(own, 2)}
    return sorted(pairs, key=lambda pair: (order[pair[0]], order[pair[1]]))


def list_forms(name: str) -> set[str]:
    """Return a name without case and separators, as it is and as the singular of it."""
    plain = re.sub(r'[\s_-]+', '', unicodedata.normalize('NFKC', name).casefold())
    forms = {plain}
    for ending, singular in (('s', ''), ('es', ''), ('ies', 'y')):
        if plain.endswith(ending) and len(plain) > len(ending) + 1:
            forms.add(plain.removesuffix(ending) + singular)
    return forms
