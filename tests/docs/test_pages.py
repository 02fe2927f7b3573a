"""Check pages against each other and the code: links, headings, tables, quoted messages, folders."""

import ast
import re
from pkgutil import resolve_name

import pytest

from mmgcvit.commands.main import COMMANDS
from mmgcvit.config import iter_unwrapped_datasets, read_config
from mmgcvit.datasets.checks.sources import list_local_paths

from ..conftest import ROOT
from .commands_page import PAGE, render_page
from .pages import PAGES, PARSER, find_anchors, find_links, find_tables

# Messages of torch, mmdet and Linux, not ours.
OF_OTHERS = {'Connection closed by peer', 'CUDA out of memory', 'loss_bbox: nan'}


@pytest.mark.parametrize('page', PAGES)
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
            assert anchor in set(find_anchors(target.resolve().relative_to(ROOT.resolve()))), (
                f'{page}:{line}: {link}'
            )


@pytest.mark.parametrize('page', PAGES)
def test_tables_render(page):
    """Rows are in tables and have as many cells as their header: Markdown drops and adds cells
    without a warning.
    """
    lines = (ROOT / page).read_text().splitlines()
    for token in PARSER.parse('\n'.join(lines)):
        if token.type in ('table_open', 'fence'):
            start, end = token.map
            widths = {len(re.findall(r'(?<!\\)\|', line)) for line in lines[start:end]}
            assert token.type == 'fence' or len(widths) == 1, (
                f'{page}:{start + 1}: rows differ in cells'
            )
            lines[start:end] = [''] * (end - start)
    assert not [line for line in lines if line.startswith('|')], 'rows outside of tables'


def test_files_and_modules_named_on_pages_exist():
    """In the text of the pages and in the autodoc directives of api.md."""
    wrong = []
    for page in PAGES:
        text = '' if page == 'CHANGELOG.md' else (ROOT / page).read_text()
        paths = re.findall(r'`((?:mmgcvit|tests|docs)/[\w./-]+)`', text)
        wrong += [f'{page}: {path}' for path in paths if not (ROOT / path).exists()]
        # Configs name classes as `mmgcvit.Class`, without the module.
        names = re.findall(
            r'`(mmgcvit(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)?)`|^\.\. auto\w+:: (\S+)', text, re.MULTILINE
        )
        for name in filter(None, (name for pair in names for name in pair)):
            try:
                resolve_name(name)
            except (AttributeError, ImportError) as error:
                wrong.append(f'{page}: {name}: {error}')
    assert not wrong, '\n'.join(wrong)


def test_every_command_has_its_help_on_the_page(monkeypatch):
    """Whitespace is ignored: Python versions wrap usage lines differently."""
    monkeypatch.setenv('COLUMNS', '100')
    text = PAGE.read_text()
    assert set(re.findall(r'^## mmgcvit (\S+)$', text, re.MULTILINE)) == set(COMMANDS)
    assert text.split() == render_page().split(), (
        'write it anew: python -m tests.docs.commands_page'
    )


def test_messages_quoted_in_troubleshooting_exist_in_the_code():
    rows = [row[0] for table in find_tables('docs/troubleshooting.md') for row in table[1:]]
    quoted = {
        words for cell in rows for words in re.findall(r'`([^`]+)`', cell) if ' ' in words
    } - OF_OTHERS
    assert len(quoted) > 20
    # All string literals of the code; f-strings have ... for each value.
    texts = set()
    for path in (ROOT / 'mmgcvit').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.add(
                    ''.join(
                        part.value if isinstance(part, ast.Constant) else '...'
                        for part in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    missing = []
    for words in quoted:
        pattern = re.compile('.+?'.join(map(re.escape, re.split(r' ?\.\.\. ?', words.strip('. ')))))
        if not any(pattern.search(text) for text in texts):
            missing.append(words)
    assert not missing


DATA = ['mask_rcnn_gcvit_t', 'dino_gcvit_t_12e', 'upernet_gcvit_t']


@pytest.mark.parametrize('config', [*DATA, 'gcvit_t_in1k', '_base_/datasets/imagenet_v2'])
def test_the_data_page_names_the_files_that_a_config_reads(config):
    cfg = read_config(ROOT / 'configs' / f'{config}.py', {})
    loaders = [
        cfg[name]
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader')
        if name in cfg
    ]
    read = {
        str(path)
        for loader in loaders
        for leaf in iter_unwrapped_datasets(loader.dataset)
        for path in list_local_paths(leaf)
    }
    assert read
    assert read <= {*re.findall(r'`(data/[^`]+)`', (ROOT / 'docs' / 'data.md').read_text())}
