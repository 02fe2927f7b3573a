"""The site: every page is in its index, and it builds without a warning."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmgcvit.commands.main import COMMANDS

from ..conftest import ROOT
from ..programs import last_of, run
from .pages import PAGES, blocks_of

INDEX = 'docs/index.md'
NEEDED = ('sphinx', 'myst_nb', 'furo', 'sphinx_copybutton')


def test_every_page_is_in_the_index():
    """A page that is not is found by nobody, and the site does not build."""
    listed = []
    for block in blocks_of(INDEX):
        if block.language == '{toctree}':
            lines = [line for line in block.text.splitlines() if line and not line.startswith(':')]
            listed += [re.sub(r'.*<(.*)>$', r'\1', line) for line in lines]
    pages = [str((ROOT / 'docs' / name).resolve().relative_to(ROOT.resolve())) for name in listed]
    files = [*PAGES, *(str(path.relative_to(ROOT)) for path in (ROOT / 'docs').glob('*.ipynb'))]
    assert sorted([*pages, INDEX.removesuffix('.md')]) == sorted(str(Path(file).with_suffix('')) for file in files)


def test_every_command_has_its_options_on_the_page():
    shown = [block.language for block in blocks_of('docs/commands.md')]
    assert shown[0] == '{command-help}'
    assert set(shown[1:]) == {f'{{command-help}} {name}' for name in COMMANDS}


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason='make docs installs what builds the site')
def test_the_site_builds_without_a_warning(tmp_path):
    options = ['--fail-on-warning', '--keep-going', '-q', '-c', 'docs', '-d', tmp_path / 'doctrees', '-b', 'html']
    ended = run([sys.executable, '-m', 'sphinx', *options, '.', tmp_path / 'site'])
    assert ended.returncode == 0, last_of(ended.stdout, ended.stderr)
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
