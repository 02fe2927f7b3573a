"""Find classes that a mirrored image shows wrongly: left and right, letters and digits."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import shorten
from ..host.config import get_type_name, iter_dicts

if TYPE_CHECKING:
    from mmengine.config import Config

# Words that a mirror swaps, in the languages of data sets that are often met
SWAPPED = (
    ('left', 'right'),
    ('leftward', 'rightward'),
    ('l', 'r'),
    ('links', 'rechts'),
    ('linke', 'rechte'),
    ('linker', 'rechter'),
    ('linkes', 'rechtes'),
    ('gauche', 'droite'),
    ('gauche', 'droit'),
    ('izquierda', 'derecha'),
    ('izquierdo', 'derecho'),
    ('sinistra', 'destra'),
    ('sinistro', 'destro'),
    ('esquerda', 'direita'),
    ('esquerdo', 'direito'),
    ('clockwise', 'counterclockwise'),
    ('clockwise', 'anticlockwise'),
)
# A word in a name such as 'Left-Hand', 'hand_left2' or 'handLeft'
WORD = re.compile(r'[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])')


def explain_mirroring(classes: Sequence[str]) -> str:
    """Return why images of these classes should not be mirrored, or '' if nothing says so.

    A mirror swaps the classes of a pair that differ in a word of :data:`SWAPPED`, and makes no
    letter or digit of two or more.
    """
    pairs = [f'{left} and {right}' for left, right in find_pairs(classes)]
    if pairs:
        return f'a mirror swaps {shorten(pairs)}'
    characters = [name for name in classes if len(name) == 1 and name.isalnum()]
    if len(characters) > 1:
        return f'a mirror changes letters and digits ({shorten(characters)})'
    return ''


def find_mirroring(cfg: 'Config') -> list[str]:
    """Return a note if training images are mirrored whose class names say that they should not."""
    settings = [*iter_dicts([cfg.get('train_dataloader')])]
    flips = [each for each in settings if get_type_name(each) == 'RandomFlip']
    if not any(map(mirrors, flips)):
        return []
    for each in settings:
        reason = explain_mirroring((each.get('metainfo') or {}).get('classes') or ())
        if reason:
            return [
                f'training images are mirrored (RandomFlip), although {reason}. If that is wrong '
                'here, remove RandomFlip from the pipeline (in a template: flip = False)'
            ]
    return []


def mirrors(flip: dict[str, Any]) -> bool:
    """Return whether a RandomFlip of mmcv may mirror images."""
    return bool(flip.get('prob', 1)) and flip.get('direction', 'horizontal') != 'vertical'


def find_pairs(classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Iterate over the pairs of names that differ only in that one is left and the other right."""
    by_words = {tuple(split_words(name)): name for name in classes}
    for words, name in by_words.items():
        for position, word in enumerate(words):
            for left, right in SWAPPED:
                if word == left:
                    other = (*words[:position], right, *words[position + 1 :])
                    if other in by_words:
                        yield name, by_words[other]


def split_words(name: str) -> Iterator[str]:
    """Split a name into its words in lower case and what is between them, such as digits."""
    end = 0
    for match in WORD.finditer(name):
        between = name[end : match.start()]
        # A separator may differ, a number may not.
        yield from filter(str.isdigit, between)
        yield match[0].lower()
        end = match.end()
    yield from filter(str.isdigit, name[end:])
