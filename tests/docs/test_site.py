"""The site builds without a warning, and shows what the pages only name."""

import re
import sys
from importlib.util import find_spec

import pytest

from ..programs import get_tail, run

NEEDED = ('sphinx', 'myst_nb', 'furo', 'sphinx_copybutton')


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason='make docs installs what builds the site')
def test_the_site_builds_without_a_warning(tmp_path):
    options = ['--fail-on-warning', '--keep-going', '-q', '-c', 'docs', '-d', tmp_path / 'doctrees', '-b', 'html']
    ended = run([sys.executable, '-m', 'sphinx', *options, '.', tmp_path / 'site'])
    assert ended.returncode == 0, get_tail(ended.stdout, ended.stderr)
    site = tmp_path / 'site'
    assert (site / 'index.html').is_file()
    # Links to files lead to pages that show them, here of a file and of a folder.
    readme = (site / 'README.html').read_text()
    assert 'href="source/mmgcvit/models/gcvit/backbone.py.html"' in readme
    assert 'class GCViT' in re.sub('<[^>]*>', '', (site / 'source/mmgcvit/models/gcvit/backbone.py.html').read_text())
    assert 'maintained.txt' in (site / 'source' / 'locks.html').read_text()
    # Docstrings and the commands' options are there.
    assert 'id="mmgcvit.GCViT"' in (site / 'docs' / 'api.html').read_text()
    # The tutorial is shown with its pictures.
    assert '<img alt="../_images/' in (site / 'docs' / 'tutorial.html').read_text()
    assert '--auto-scale-lr' in (site / 'docs' / 'commands.html').read_text()
