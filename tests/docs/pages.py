"""What stands on the pages: headings, links, tables, blocks of code."""

import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from markdown_it import MarkdownIt

from ..conftest import ROOT

PAGES = [
    *('README.md', 'CHANGELOG.md', 'SECURITY.md', 'configs/README.md', 'configs/demo/weights/README.md'),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'docs').glob('*.md')),
]
PARSER = MarkdownIt('commonmark').enable('table')


class Link(NamedTuple):
    """A link or a picture of a page."""

    page: str
    line: int
    target: str


class Block(NamedTuple):
    """A fenced block of a page; ``line`` is that of its first line of text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f'{self.page}:{self.line}'


def tokens_of(page):
    return PARSER.parse((ROOT / page).read_text())


def links_of(page):
    for token in tokens_of(page):
        for child in token.children or ():
            target = child.attrGet('href') or child.attrGet('src')
            if target is not None:
                yield Link(page, token.map[0] + 1, target)


def anchors_of(page):
    """The headings' anchors, as platforms for repositories and MyST make them."""
    tokens, seen = tokens_of(page), Counter()
    for opening, inline in pairwise(tokens):
        if opening.type == 'heading_open':
            words = ''.join(child.content for child in inline.children if child.type in ('text', 'code_inline'))
            slug = re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-')
            yield slug if not seen[slug] else f'{slug}-{seen[slug]}'
            seen[slug] += 1


def blocks_of(page):
    for token in tokens_of(page):
        if token.type == 'fence':
            yield Block(page, token.map[0] + 2, token.info.strip(), token.content)


def texts_of(page, language):
    return [block.text for block in blocks_of(page) if block.language == language]


def blocks(*languages):
    return [block for page in PAGES for block in blocks_of(page) if block.language in languages]


def tables_of(page):
    """Each table as a list of rows, each a list of its cells' Markdown; the first row is the head."""
    for token in tokens_of(page):
        if token.type == 'table_open':
            rows = []
        elif token.type == 'tr_open':
            rows.append([])
        elif token.type in ('th_open', 'td_open'):
            rows[-1].append('')
        elif token.type == 'inline' and token.level > 3:
            rows[-1][-1] = token.content
        elif token.type == 'table_close':
            yield rows
