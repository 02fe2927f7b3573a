"""Find names of classes that may be one class in two spellings."""

import re
import unicodedata

MERGE = 'merge'
KEEP = 'keep'
# The values of ``--similar-classes``, and what they do with two names that are nearly equal
ANSWERS = {MERGE: 'they are one class, with the first name', KEEP: 'they are two classes'}


def are_similar(name: str, other: str) -> bool:
    """Return whether two names are equal but for case, Unicode form, separators or the plural."""
    return not list_forms(name).isdisjoint(list_forms(other))


def list_forms(name: str) -> set[str]:
    """Return a name without case and separators, as it is and as the singular of it."""
    plain = re.sub(r'[\s_-]+', '', unicodedata.normalize('NFKC', name).casefold())
    forms = {plain}
    for ending, singular in (('s', ''), ('es', ''), ('ies', 'y')):
        if plain.endswith(ending) and len(plain) > len(ending) + 1:
            forms.add(plain.removesuffix(ending) + singular)
    return forms
