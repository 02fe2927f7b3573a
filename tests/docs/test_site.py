"""The site builds without a warning and fits every width, and its links lead to pages.

Modules: `docs/conf.py`.
"""

import html
import json
import re
import shutil
import subprocess
import sys
from urllib.parse import unquote

import pytest

from ..programs import get_tail, run

pytestmark = pytest.mark.long
pytest.importorskip('furo', reason='make docs installs what builds the site')
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'chrome'))), None)
# The page of a file that other pages link to.
CODE = 'source/mmgcvit/models/gcvit/convs.py'
# A phone, tablets, laptops and a large screen, in CSS pixels.
WIDTHS = (390, 768, 1024, 1200, 1366, 1440, 1920)
# Loads each page in a frame of each width, and lists [page, width, width of the content].
MEASURE = """<!DOCTYPE html><pre id="measured"></pre><script>
async function measure(pages, widths) {
  const measured = [];
  for (const page of pages) {
    const frame = document.createElement('iframe');
    document.body.appendChild(frame);
    await new Promise(done => { frame.onload = done; frame.src = page; });
    for (const width of widths) {
      frame.style.width = width + 'px';
      measured.push([page, width, frame.contentDocument.documentElement.scrollWidth]);
    }
    frame.remove();
  }
  document.getElementById('measured').textContent = JSON.stringify(measured);
}
measure(PAGES, WIDTHS);
</script>"""


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """Build the site. A warning is an error."""
    folder = tmp_path_factory.mktemp('docs')
    options = ['--fail-on-warning', '--keep-going', '-q', '-c', 'docs', '-b', 'html']
    options += ['-d', folder / 'doctrees']
    ended = run([sys.executable, '-m', 'sphinx', *options, '.', folder / 'site'])
    assert ended.returncode == 0, get_tail(ended.stdout, ended.stderr)
    return folder / 'site'


@pytest.mark.parametrize(
    ('page', 'content'),
    [
        # Links to files lead to pages that show them.
        ('docs/how_gcvit_works', f'href="../{CODE}.html"'),
        (CODE, '<span class="nc">Stem</span>'),
        ('source/locks', 'maintained.txt'),  # the page of a folder
        ('docs/api', 'id="mmgcvit.GCViT"'),
        ('docs/tutorial', '<img alt="Five digits'),
    ],
)
def test_a_page_shows_what_the_files_only_name(site, page, content):
    assert content in (site / f'{page}.html').read_text()


def test_links_lead_to_pages_and_ids_that_exist(site):
    texts = {path: path.read_text() for path in site.rglob('*.html')}
    for path, text in texts.items():
        for link in re.findall(r'<a [^>]*href="([^"]*)"', text):
            if re.match(r'\w+:', link):
                continue
            name, _, anchor = unquote(link).partition('#')
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), (path, link)
            if anchor and target in texts:
                assert f'id="{anchor}"' in texts[target], (path, link)


def test_the_front_page_does_not_repeat_the_sidebar(site):
    """It has one table of all pages, for a repository's view, which shows no sidebar."""
    article = (site / 'docs' / 'index.html').read_text().partition('<article')[2]
    article = article.partition('</article>')[0]
    assert 'toctree-l1' not in article
    assert article.count('<a ') < 70


@pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium (Debian: apt-get install chromium)')
def test_no_page_is_wider_than_its_window(site):
    """Tables and code are scrolled by themselves, pages are not scrolled sideways."""
    names = sorted(path.relative_to(site).as_posix() for path in site.glob('docs/*.html'))
    names += ['configs/README.html', 'CHANGELOG.html', f'{CODE}.html']
    text = MEASURE.replace('PAGES', json.dumps(names)).replace('WIDTHS', json.dumps(WIDTHS))
    (site / 'measure.html').write_text(text)
    options = ['--headless', '--no-sandbox', '--disable-gpu', '--allow-file-access-from-files']
    options += ['--window-size=2000,1000', '--virtual-time-budget=600000', '--dump-dom']
    address = (site / 'measure.html').as_uri()
    ended = subprocess.run([CHROMIUM, *options, address], capture_output=True, text=True)
    found = re.search(r'<pre id="measured">(.+?)</pre>', ended.stdout)
    assert found, ended.stderr[-1000:]
    measured = json.loads(html.unescape(found[1]))
    assert len(measured) == len(names) * len(WIDTHS)
    assert not [(page, window) for page, window, content in measured if content > window]
