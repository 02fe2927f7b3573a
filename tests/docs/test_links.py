"""What a page links to is there: files, folders, pictures, headings. External addresses: make docs-links."""

import re

import pytest

from ..conftest import ROOT
from .pages import PAGES, anchors_of, links_of

INTERNAL = [link for page in PAGES for link in links_of(page) if not re.match(r'\w+:', link.target)]


@pytest.mark.parametrize('link', INTERNAL, ids=lambda link: f'{link.page}:{link.line}:{link.target}')
def test_a_link_leads_somewhere(link):
    path, _, anchor = link.target.partition('#')
    target = (ROOT / link.page).parent / path if path else ROOT / link.page
    assert target.exists()
    if anchor:
        page = str(target.resolve().relative_to(ROOT.resolve()))
        assert anchor in set(anchors_of(page)), f'{page} has the headings {sorted(anchors_of(page))}'


def test_external_addresses_are_encrypted():
    found = [link for page in PAGES for link in links_of(page) if re.match(r'\w+:', link.target)]
    assert found
    assert not [link for link in found if not link.target.startswith('https://')]


def test_headings_get_the_anchors_that_repositories_give_them(tmp_path, monkeypatch):
    monkeypatch.setattr('tests.docs.pages.ROOT', tmp_path)
    (tmp_path / 'page.md').write_text("# `make x`, LSA's (table 5)\n\n## One-two\n\n## One-two\n")
    assert list(anchors_of('page.md')) == ['make-x-lsas-table-5', 'one-two', 'one-two-1']
