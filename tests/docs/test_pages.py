"""Check pages against each other and the code: links, headings, tables, messages, folders.

Modules: `docs`, `README.md`.
"""

import re
import shlex
from pkgutil import resolve_name

import pytest

from mmgcvit.datasets.checks.sources import list_local_paths
from mmgcvit.host.config import LOADERS, read_config
from mmgcvit.host.datasets import iter_datasets

from ..conftest import ROOT
from .pages import (
    PAGES,
    SHELLS,
    find_anchors,
    find_blocks,
    find_links,
    find_table,
    find_tables,
    parse,
    read_page,
    split_commands,
)

# Messages of torch, mmdet and Linux, not ours.
OF_OTHERS = {
    'DataLoader timed out',
    'DataLoader worker ...',
    'Connection closed by peer',
    'CUDA out of memory',
    'loss_bbox: nan',
}


@pytest.fixture(params=PAGES)
def page(request):
    return request.param


def test_links_resolve(page):
    """Links to files, folders, images and headings.

    External ones must be https; `make docs-links` requests them.
    """
    for line, link in find_links(page):
        if re.match(r'\w+:', link):
            assert link.startswith('https://'), f'{page}:{line}: {link}'
            continue
        path, _, anchor = link.partition('#')
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f'{page}:{line}: there is no {link}'
        if anchor:
            assert anchor in find_anchors(target.resolve()), f'{page}:{line}: {link}'


def test_link_texts_are_titles_and_alt_texts_say_what_is_seen(page):
    text = read_page(page)
    assert not re.findall(r'\[[^]]+\.(?:md|ipynb|html)`?\]\(', text)
    for alt in re.findall(r'!\[([^]]*)\]\(', text):
        assert len(alt.split()) > 3, alt


def test_no_two_pages_have_the_same_title():
    titles = [read_page(page).partition('\n')[0] for page in PAGES]
    assert len({*titles}) == len(titles)


@pytest.mark.parametrize(
    ('page', 'words'),
    [
        ('fifty_photos', 'annotate'),
        ('faq', 'faq colab finetune multiple gpus memory small commercial early'),
        ('glossary', 'iou'),
    ],
)
def test_a_page_has_the_words_that_people_search_for(page, words):
    text = read_page(f'docs/{page}.md').lower()
    assert [word for word in words.split() if word not in text] == []


def test_pages_link_to_every_term_of_the_glossary():
    linked = {link.partition('#')[2] for page in PAGES for _, link in find_links(page)}
    assert {*find_anchors('docs/glossary.md')} - {'glossary'} <= linked


def test_every_picture_is_on_a_page_and_credited():
    shown = {link.rpartition('/')[2] for page in PAGES for _, link in find_links(page)}
    shown |= {*re.findall(r'docs/images/([\w.]+)', ' '.join(map(read_page, PAGES)))}
    credited = {*re.findall(r'`([\w.]+)`', read_page('docs/images/README.md'))}
    for path in (ROOT / 'docs' / 'images').glob('*.*g'):
        assert path.name in shown
        assert path.suffix == '.svg' or path.name in credited, path.name


# Pictures and videos that a reader has, or that the command before makes.
OWN_FILES = re.compile(
    r'(new_)?photo\.jpg|video\.mp4|samples\.jpg|sheet\.jpg|\*\.jpg|[a-z]+\.png|FILE\.jpg|'
    r'photos/images/photo \d\d\.jpg'
)


def test_pictures_named_in_examples_exist(page, request):
    """In blocks of commands, and in commands within the text; those of the demo after
    tools/make_digits.py.
    """
    commands = re.findall(r'`((?:mmgcvit|python) [^`]+)`', read_page(page))
    for block in find_blocks(page, *SHELLS):
        commands += split_commands(block.text)
    for word in shlex.split('\n'.join(commands), comments=True):
        if word.startswith('data/digits/'):
            digits = request.getfixturevalue('digits')
            assert (digits / word.removeprefix('data/digits/')).exists(), word
        elif word.endswith(('.jpg', '.png', '.mp4')) and not OWN_FILES.fullmatch(word):
            assert (ROOT / word).exists(), word


def test_tables_render(page):
    """Rows are in tables and have as many cells as their header: Markdown drops and adds cells
    without a warning.
    """
    lines = read_page(page).splitlines()
    for token in parse(page):
        if token.type in ('table_open', 'fence'):
            start, end = token.map
            widths = {len(re.findall(r'(?<!\\)\|', line)) for line in lines[start:end]}
            assert token.type == 'fence' or len(widths) == 1, f'{page}:{start + 1}: cells differ'
            lines[start:end] = [''] * (end - start)
    assert not [line for line in lines if line.startswith('|')], 'rows outside of tables'


@pytest.mark.parametrize('page', [page for page in PAGES if page != 'CHANGELOG.md'])
def test_files_and_modules_named_on_pages_exist(page):
    """Sphinx checks the directives of api.md."""
    text = read_page(page)
    for path in re.findall(r'`((?:mmgcvit|tests|docs|tools)/[\w./-]+)`', text):
        assert (ROOT / path).exists(), path
    # Configs name classes as `mmgcvit.Class`, without the module.
    for name in re.findall(r'`(mmgcvit(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)?)`', text):
        resolve_name(name)


def test_messages_that_pages_quote_exist_in_the_code():
    symptoms = [row[0] for _, *rows in find_tables('docs/troubleshooting.md') for row in rows]
    symptoms += [row[2] for row in find_table('docs/installation.md', 'system', 'where')]
    quoted = {words for words in re.findall(r'`([^`]+)`', '\n'.join(symptoms)) if ' ' in words}
    assert len(quoted) > 10
    # The code, with its literals joined and ... for each value.
    files = [*(ROOT / 'mmgcvit').rglob('*.py'), ROOT / 'tools/installation/install.py']
    code = '\n'.join(path.read_text() for path in files)
    texts = re.sub(r'\{[^{}]*\}', '...', re.sub(r"""['"]\n\s*f?['"]""", '', code))
    for words in quoted - OF_OTHERS:
        parts = re.split(r' ?\.\.\. ?', words.strip('. '))
        assert re.search('.+?'.join(map(re.escape, parts)), texts), words


DATA = ['mask_rcnn_gcvit_t', 'dino_gcvit_t_12e', 'upernet_gcvit_t']


@pytest.mark.parametrize('config', [*DATA, 'gcvit_t_in1k', '_base_/datasets/imagenet_v2'])
def test_the_data_page_names_the_files_that_a_config_reads(config):
    read = set()
    for _, dataset in iter_datasets(read_config(ROOT / 'configs' / f'{config}.py', {}), LOADERS):
        read.update(map(str, list_local_paths(dataset)))
    assert read
    assert read <= {*re.findall(r'`(data/[^`]+)`', read_page('docs/data.md'))}


@pytest.mark.parametrize('page', ['model_zoo', 'ablations', 'lsa', 'reproduce', 'backbone'])
def test_columns_of_scores_say_that_others_reached_them(page):
    heads = [cell for table in find_tables(f'docs/{page}.md') for cell in table[0]]
    scores = [cell for cell in heads if re.search(r'top-1|mIoU|\bAP\b|published', cell)]
    assert scores
    assert all(re.search('paper|published', cell) for cell in scores), scores
