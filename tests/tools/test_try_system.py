"""The script that tries another system refuses unknown words, leaves this machine's /proc alone, and
prints a row of the table in docs/installation.md.

Modules: `tools/installation/try_system.sh`.
"""

import os
import re
import sys
from pathlib import Path

import pytest

from ..programs import ROOT, run

SCRIPT = ROOT / 'tools/installation/try_system.sh'
VERSIONS = '3.14.10 | 2.13.0 | 2.4.6 | 4.11.0'
# Programs that the script calls: each notes its arguments, and these do a little more.
PROGRAMS = {
    'dpkg': 'print("amd64")',
    'debootstrap': """
folder = next(Path(word) for word in words if word.startswith('/'))
for name in ('etc/ssl/certs', 'var/cache/apt/archives'):
    (folder / name).mkdir(parents=True)
(folder / 'var/cache/apt/archives/python3.deb').touch()
(folder / 'proc').symlink_to('/proc')
""",
    'dpkg-deb': '',
    'git': 'os.execvp("tar", ["tar", "-c", "-T", "/dev/null"])',
    'unshare': 'os.execvp("bash", ["bash", *words[1:]])',
    'mount': 'assert not Path(words[-1]).is_symlink()',
    'uv': '',
    'chroot': """
code = words[-1] if '-c' in words[:-1] else ''
if 'venv' in words:
    Path(words[0], 'root/mmgcvit/.venv').mkdir()
if 'cv2' in code:
    print('VERSIONS')
elif 'platform' in code:
    print('aarch64' if '-arm64-' in words[0] else 'x86_64'.replace('_', '-'))
elif 'version_info' in code:
    print('3.13')
elif 'predictions.json' in code:
    print(24)
elif 'pytest' in words:
    print('3 passed in 1.00s')
""".replace('VERSIONS', VERSIONS),
}
PROGRAM = """#!{python} -IS
import os, sys
from pathlib import Path
folder, words = Path(__file__).parent.parent, sys.argv[1:]
with (folder / 'calls.txt').open('a') as file:
    file.write(' '.join([Path(__file__).name, *words]).replace('\\n', ' ') + '\\n')
{body}
"""


@pytest.fixture
def programs(tmp_path):
    """Return an environment whose programs only note how they are called."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, body in PROGRAMS.items():
        path = folder / name
        path.write_text(PROGRAM.format(python=sys.executable, body=body))
        path.chmod(0o755)
    variables = {'PATH': f'{folder}:{os.environ["PATH"]}', 'SYSTEMS': str(tmp_path / 'systems')}
    return {**os.environ, **variables}


@pytest.fixture
def try_system(programs):
    """Return a function that calls the script in that environment."""
    return lambda *words: run(['bash', SCRIPT, *words], programs)


def read_header():
    """Return the cells of the header of the table in docs/installation.md."""
    page = (ROOT / 'docs/installation.md').read_text()
    (header,) = re.findall(r'^\| system \| processor .*', page, re.MULTILINE)
    return header.split(' | ')


needs_certificates = pytest.mark.skipif(
    not Path('/etc/ssl/certs/ca-certificates.crt').is_file(), reason='the script is for Debian'
)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ((), 'SUITE ARCHITECTURE PACKAGES'),
        (('sid', 'amd64'), 'SUITE ARCHITECTURE PACKAGES'),
        (('sid', 'amd64', 'pinned'), 'PACKAGES pinned: expected pins or newest'),
        (('sid', 'arm64', 'newest'), 'newest is for amd64'),
    ],
)
def test_missing_and_unknown_words_are_refused_before_anything_is_done(
    words, message, try_system, tmp_path
):
    ended = try_system(*words)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert not (tmp_path / 'systems').exists()


@needs_certificates
@pytest.mark.parametrize(
    ('words', 'row'),
    [
        (
            ('sid', 'amd64', 'pins', 'tests/models'),
            f'| Debian sid | x86-64 | `make install` | {VERSIONS} | yes | 24 coins | '
            '3 passed in 1.00s |',
        ),
        (
            ('sid', 'amd64', 'newest'),
            f'| Debian sid | x86-64 | newest | {VERSIONS} | yes | 24 coins | not run |',
        ),
        (
            ('resolute', 'amd64', 'pins'),
            f'| Ubuntu resolute | x86-64 | `make install` | {VERSIONS} | yes | 24 coins | not run |',
        ),
        (
            ('trixie', 'arm64', 'pins'),
            f'| Debian trixie | aarch64, emulated | `locks/`, by uv | {VERSIONS} | yes | 24 coins '
            '| not run |',
        ),
    ],
)
def test_a_row_of_the_table_is_printed_and_no_mount_is_seen_outside(
    words, row, try_system, tmp_path
):
    """debootstrap leaves a link to /proc, which is not a mount. An emulated processor has
    a /proc/cpuinfo of its own.
    """
    ended = try_system(*words)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == row
    assert len(row.split(' | ')) == len(read_header())
    folder = tmp_path / 'systems' / '-'.join(words[:3])
    calls = (tmp_path / 'calls.txt').read_text().splitlines()
    mounts = [index for index, call in enumerate(calls) if call.startswith('mount ')]
    own_mounts = next(index for index, call in enumerate(calls) if call.startswith('unshare '))
    assert calls[own_mounts].startswith('unshare --mount /')
    assert own_mounts < min(mounts)
    is_emulated = words[1] == 'arm64'
    assert calls[mounts[-1]].endswith('/proc/cpuinfo') == is_emulated
    cpuinfo = folder.with_name(f'{folder.name}.cpuinfo')
    assert cpuinfo.is_file() == is_emulated
    assert not is_emulated or cpuinfo.read_text().count('CPU implementer\t: 0x41\n') == 2
    assert (folder / 'proc').is_dir()
    assert not (folder / 'proc').is_symlink()


@needs_certificates
def test_an_emulated_system_is_installed_from_the_locks_by_this_machine(try_system, tmp_path):
    try_system('trixie', 'arm64', 'pins')
    calls = (tmp_path / 'calls.txt').read_text().splitlines()
    installed = [call for call in calls if call.startswith('uv ')]
    assert all('--python-platform aarch64-manylinux_2_28' in call for call in installed)
    assert '--require-hashes --requirement locks/maintained.txt' in installed[0]
    assert installed[1].endswith('--constraint pins.txt torch torchvision')
    assert not any('make install' in call for call in calls)


@needs_certificates
@pytest.mark.parametrize('suite', ['bookworm', 'noble', 'resolute'])
def test_a_folder_is_made_of_signed_packages_and_ubuntus_python3_venv_is_in_universe(
    suite, try_system, tmp_path
):
    try_system(suite, 'amd64', 'pins')
    calls = (tmp_path / 'calls.txt').read_text().splitlines()
    (made,) = (call for call in calls if call.startswith('debootstrap '))
    folder = tmp_path / f'systems/{suite}-amd64-pins'
    assert '--force-check-gpg' in made
    assert 'python3-venv' in made
    # Two spaces are around an empty word, for the default mirror.
    ubuntu = f'--components=main,universe {suite} {folder}  gutsy'
    assert made.endswith(f' {suite} {folder}') == (suite == 'bookworm')
    assert made.endswith(ubuntu) == (suite != 'bookworm')


@needs_certificates
def test_a_file_of_the_output_keeps_what_was_written_before_the_tests(programs, tmp_path):
    log = tmp_path / 'log.txt'
    words = [log, SCRIPT, 'sid', 'amd64', 'pins', 'tests/models']
    run(['bash', '-c', 'exec > "$0" 2>&1; echo first; bash "$@"', *words], programs)
    first, tests, row = log.read_text().splitlines()
    assert (first, tests) == ('first', '3 passed in 1.00s')
    assert row.endswith(f' | {tests} |')
