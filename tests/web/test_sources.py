"""The page's sources: nothing of others but what the lock file names, and colours that can be read."""

import json
import re
from itertools import pairwise

from mmgcvit.web.building import HERE, RUNTIME, runtime_version
from mmgcvit.web.server import PAGE, page_files

STYLE = (PAGE / 'style.css').read_text()
SCHEMES = dict(zip(('light', 'dark'), re.findall(r':root \{(.*?)\}', STYLE, re.DOTALL), strict=True))
# Text, what lies behind it, and the least contrast by WCAG 2, level AA.
PAIRS = [
    *(('text', 'ground', 4.5), ('text', 'raised', 4.5), ('quiet', 'ground', 4.5), ('quiet', 'raised', 4.5)),
    *(('on-accent', 'accent', 4.5), ('fault', 'fault-ground', 4.5), ('control', 'ground', 3), ('control', 'raised', 3)),
    *(('accent', 'ground', 3), ('accent', 'raised', 3)),
]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_text_and_controls_have_contrast():
    for scheme, text in SCHEMES.items():
        colours = dict(re.findall(r'--([\w-]+): (#\w{6})', text))
        for ink, ground, least in PAIRS:
            darker, lighter = sorted([luminance(colours[ink]), luminance(colours[ground])])
            assert (lighter + 0.05) / (darker + 0.05) >= least, (scheme, ink, ground)


def test_every_file_of_the_page_is_used_and_names_no_place_but_its_own():
    """Each but the first is named by another; addresses are of this machine, in what a person is told."""
    texts = {name: path.read_text() for name, path in page_files().items()}
    for name, text in texts.items():
        found = set(re.findall(r'(?:https?:)?//[\w.-]+\.\w[\w.:/-]*', text))
        assert found <= {'http://127.0.0.1:8000'}, name
        assert name == 'index.html' or any(name in text for other, text in texts.items() if other != name), name


def test_every_element_that_the_page_asks_for_is_there():
    ids = re.findall(r'\bid="([\w-]+)"', (PAGE / 'index.html').read_text())
    asked = set(re.findall(r"byId\('([\w-]+)'\)", (PAGE / 'main.js').read_text()))
    assert asked <= set(ids)
    assert all(first != second for first, second in pairwise(sorted(ids)))


def test_the_library_is_held_by_version_and_digest():
    """And from no place that is named: that is the machine's own setting."""
    locked = json.loads((HERE / 'package-lock.json').read_text())['packages']
    assert locked[f'node_modules/{RUNTIME}']['version'] == runtime_version()
    assert all(entry['integrity'].startswith('sha512-') for name, entry in locked.items() if name)
    assert not any('resolved' in entry for entry in locked.values())
