"""The texts of a clone are those of a release only if each of them is (RELEASING.md).

Modules: `tools/installation/release_texts.py`.
"""

import re
import sys

import pytest

from tools.installation import release_texts
from tools.installation.release_texts import BEFORE_RELEASE, find_problems

from ..conftest import ROOT

ADDRESS = 'https://example.org/mmgcvit'
# By file, what a maintainer replaces before a release, as RELEASING.md says.
CHANGES = {
    'setup.py': (r"^REPOSITORY = ''$", f"REPOSITORY = '{ADDRESS}'"),
    'CHANGELOG.md': (r'^(## 0\.1\.0) .*$', r'\1 (2027-01-31)'),
    'CITATION.cff': (r'^(version: .*)$', r'\1\ndate-released: 2027-01-31'),
    'README.md': (
        r'(?s)not yet released(.*?)make install',
        rf'released\1git clone {ADDRESS}\nmake install',
    ),
    'docs/does_it_suit_me.md': ('not yet released', 'released'),
    'docs/installation.md': ('not on an index yet', 'on an index'),
}


@pytest.fixture
def clone(tmp_path):
    """A folder with the texts of a release."""
    for name in (*CHANGES, 'mmgcvit/version.py'):
        text = (ROOT / name).read_text()
        if name in CHANGES:
            text, count = re.subn(*CHANGES[name], text, flags=re.MULTILINE)
            assert count == 1, name
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_texts_of_a_release_have_no_problem(clone):
    assert find_problems(clone) == []
    assert find_problems(clone, 'v0.1.0') == []
    assert {*BEFORE_RELEASE} < {*CHANGES}


@pytest.mark.parametrize('name', CHANGES)
def test_each_text_from_before_the_release_is_named(clone, name):
    (clone / name).write_text((ROOT / name).read_text())
    problems = find_problems(clone)
    assert problems
    assert all(name in problem or name == 'setup.py' for problem in problems)


def test_a_tag_of_another_version_is_named(clone):
    (problem,) = find_problems(clone, 'v0.2.0')
    assert 'expected v0.1.0' in problem


@pytest.mark.parametrize(('tag', 'code'), [('v0.1.0', 0), ('v9.9.9', 1)])
def test_the_exit_code_says_whether_something_is_left(tag, code, clone, monkeypatch):
    """check_release.sh stops there."""
    monkeypatch.setattr(release_texts, 'ROOT', clone)
    monkeypatch.setattr(sys, 'argv', ['release_texts.py', tag])
    with pytest.raises(SystemExit) as ended:
        release_texts.main()
    assert ended.value.code == code
