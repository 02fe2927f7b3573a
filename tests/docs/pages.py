"""Parse the pages: headings, links, tables, code blocks."""

import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from markdown_it import MarkdownIt

from ..conftest import ROOT

PAGES = ['README.md', 'CHANGELOG.md', 'RELEASING.md', 'SECURITY.md', 'docs/images/README.md']
PAGES += ['configs/README.md', 'configs/demo/weights/README.md']
PAGES += sorted(f'docs/{path.name}' for path in (ROOT / 'docs').glob('*.md'))
PARSER = MarkdownIt('commonmark').enable('table')
SHELLS = ('bash', 'console', 'shell', 'sh')


class Block(NamedTuple):
    """A fenced code block; ``line`` is the line number of its first line."""

    page: str
    line: int
    text: str

    def __str__(self):
        return f'{self.page}:{self.line}'


def read_page(page):
    return (ROOT / page).read_text()


def parse(page):
    """Parse a page into Markdown tokens."""
    return PARSER.parse(read_page(page))


def find_blocks(page, *languages):
    """Yield the code blocks of a page in some languages."""
    for token in parse(page):
        if token.type == 'fence' and token.info.strip() in languages:
            yield Block(page, token.map[0] + 2, token.content)


def read_blocks(page, language):
    return [block.text for block in find_blocks(page, language)]


def split_commands(text):
    """Split the text of a shell block into single commands."""
    commands = []
    for line in text.replace('\\\n', ' ').splitlines():
        commands += line.removeprefix('$ ').split(' && ')
    return [command for command in commands if command.partition('#')[0].strip()]


def find_links(page):
    """Yield the line number and target of each link and image."""
    for token in parse(page):
        for child in token.children or ():
            target = child.attrGet('href') or child.attrGet('src')
            if target is not None:
                yield token.map[0] + 1, target


def find_anchors(page):
    """Yield the anchors of the headings, as GitHub and MyST make them."""
    seen = Counter()
    for opening, inline in pairwise(parse(page)):
        if opening.type == 'heading_open':
            words = ''.join(child.content for child in inline.children)
            slug = re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-')
            yield f'{slug}-{seen[slug]}' if seen[slug] else slug
            seen[slug] += 1


def find_tables(page):
    """Yield each table as a list of rows of Markdown cells; the first row is the header."""
    for token in parse(page):
        if token.type == 'table_open':
            rows = []
        elif token.type == 'tr_open':
            rows.append([])
        elif token.type == 'inline' and token.level > 3:
            rows[-1].append(token.content)
        elif token.type == 'table_close':
            yield rows


def find_table(page, *head):
    """Return the rows of the only table whose header begins with these cells."""
    ((_, *rows),) = [table for table in find_tables(page) if table[0][: len(head)] == [*head]]
    return rows
