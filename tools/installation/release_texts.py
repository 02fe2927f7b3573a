"""List what must be changed before a release: python3 tools/installation/release_texts.py [TAG].

It compares the version with the tag, the changelog and CITATION.cff, and looks for sentences that
are only true before the first release. It needs only the standard library. The exit code is 1 if
something is left.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def find_problems(root: Path, tag: str = '') -> 'list[str]':
    """Return a sentence for each thing to change in the clone ``root``; ``tag`` is that of the
    release, if it has one already.
    """

    def read(name: str) -> str:
        return (root / name).read_text(encoding='utf-8')

    problems = []
    version = re.search(r"__version__ = '(.+)'", read('mmgcvit/version.py'))[1]
    if tag and tag != f'v{version}':
        problems.append(
            f'the tag is {tag}, and mmgcvit/version.py has {version}: expected v{version}'
        )
    repository = re.search(r"^REPOSITORY = '(.*)'", read('setup.py'), re.MULTILINE)[1]
    if not repository:
        problems.append("setup.py: REPOSITORY is empty; set the repository's address")
    elif f'git clone {repository}' not in read('README.md'):
        problems.append(f'README.md: "See it work" lacks the line git clone {repository}')
    heading = re.search(r'^## (.+)$', read('CHANGELOG.md'), re.MULTILINE)[1]
    if re.fullmatch(rf'{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)', heading) is None:
        problems.append(
            f'CHANGELOG.md: the first heading is "{heading}"; expected "{version} (YYYY-MM-DD)"'
        )
    citation = read('CITATION.cff')
    if f'version: {version}\n' not in citation:
        problems.append(f'CITATION.cff: expected "version: {version}"')
    if not re.search(r'^date-released: \d{4}-\d\d-\d\d$', citation, re.MULTILINE):
        problems.append('CITATION.cff: expected "date-released: YYYY-MM-DD"')
    for name, words in BEFORE_RELEASE.items():
        if words in ' '.join(read(name).split()):
            problems.append(f'{name}: "{words}" is no longer true')
    return problems


# By page, words that are only true before the first release.
BEFORE_RELEASE = {
    'README.md': 'not yet released',
    'docs/does_it_suit_me.md': 'not yet released',
    'docs/installation.md': 'not on an index yet',
}


def main() -> None:
    problems = find_problems(ROOT, *sys.argv[1:2])
    print('\n'.join(problems) or 'the texts are those of a release')
    sys.exit(bool(problems))


if __name__ == '__main__':
    main()
