"""The site builds without a warning, and shows what the pages only name."""

import sys
from importlib.util import find_spec

import pytest

from ..programs import get_tail, run

NEEDED = ('sphinx', 'myst_nb', 'furo', 'sphinx_copybutton')


@pytest.mark.long
@pytest.mark.skipif(
    not all(map(find_spec, NEEDED)), reason='make docs installs what builds the site'
)
def test_the_site_builds_without_a_warning(tmp_path):
    options = ['--fail-on-warning', '--keep-going', '-q', '-c', 'docs', '-b', 'html']
    options += ['-d', tmp_path / 'doctrees']
    ended = run([sys.executable, '-m', 'sphinx', *options, '.', tmp_path / 'site'])
    assert ended.returncode == 0, get_tail(ended.stdout, ended.stderr)
    site = tmp_path / 'site'
    for page, content in {
        # Links to files lead to pages that show them
        'README': 'href="source/mmgcvit/models/gcvit/backbone.py.html"',
        'source/mmgcvit/models/gcvit/backbone.py': '<span class="nc">GCViT</span>',
        'source/locks': 'maintained.txt',  # the page of a folder
        'docs/api': 'id="mmgcvit.GCViT"',
        'docs/tutorial': '<img alt="../_images/',
    }.items():
        assert content in (site / f'{page}.html').read_text(), page
