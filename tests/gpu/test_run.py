"""The report of a GPU: what one part does to itself the next one does not feel."""

import os
import signal
import sys
from contextlib import suppress
from zipfile import ZipFile

import pytest

from .. import programs
from ..programs import ROOT
from .run import Part, fits, main, parts_on, run, unpack

LOOKS = """
from mmengine.utils import is_installed
assert not is_installed('transformers')
import transformers
"""


def part(heading, code, seconds=20, **options):
    return Part(heading, ['-c', code], seconds, **options)


def test_a_part_that_fails_hangs_or_crashes_stops_no_other_and_the_report_has_what_it_printed(tmp_path, capfd):
    sleeps = 'import time; print("a row", flush=True); time.sleep(60)'
    crashes = 'import os; print("half a table", flush=True); os.abort()'
    parts = [
        part('Fails', 'raise SystemExit("no such kernel")'),
        part('Crashes', crashes),
        part('Hangs', sleeps, -38),  # what the two before have left over is taken from it
        part('Is cut', sleeps, 1, may_be_cut=True),
        part('Half a character', r'import os; os.write(1, b"half \xc3")'),
        part('Next', 'print("| a | table |")', 20),
    ]
    target = tmp_path / 'out' / 'report.md'
    assert run(parts, target, {}) == 1
    report = target.read_text()
    headings = [line.rpartition(',')[0] for line in report.splitlines() if line.startswith('## ')]
    assert headings == [
        '## Fails: FAILED, exit code 1',
        '## Crashes: FAILED, exit code -6',
        '## Hangs: FAILED, not ended in time',
        '## Is cut: cut',
        '## Half a character: ok',
        '## Next: ok',
    ]
    for found in ('no such kernel', 'half a table', 'a row', '| a | table |', '| Next | ok |'):
        assert found in report
    assert '## Next: ok' in capfd.readouterr().out
    assert run(parts[3:], target, {}) == 0


def test_a_process_that_cannot_be_killed_stops_no_other(tmp_path, monkeypatch):
    stuck = []
    monkeypatch.setattr(programs, 'SECONDS_TO_DIE', 0.2)
    monkeypatch.setattr(os, 'killpg', lambda number, _: stuck.append(number))
    with monkeypatch.context() as patched:
        patched.setattr(os, 'kill', lambda *_: None)
        parts = [part('Hangs', 'import time; time.sleep(60)', 1), part('Next', 'print("a row")')]
        run(parts, tmp_path / 'report.md', {})
    with suppress(ProcessLookupError):
        os.kill(stuck[0], signal.SIGKILL)
    report = (tmp_path / 'report.md').read_text()
    assert '## Hangs: FAILED, not ended in time' in report
    assert '## Next: ok' in report


def test_transformers_of_the_machine_is_not_found_and_a_folder_of_wheels_that_is_not_there_is_said(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / 'transformers.py').touch()
    (tmp_path / 'transformers-5.0.dist-info').mkdir()
    (tmp_path / 'transformers-5.0.dist-info' / 'METADATA').write_text('Name: transformers\nVersion: 5.0\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setenv('OUT', str(tmp_path))
    monkeypatch.setattr('sys.argv', ['run', '--device', 'cpu'])
    monkeypatch.setattr('tests.gpu.run.parts_on', lambda _: [part('Imports', LOOKS)])
    assert main() == 1
    assert 'ModuleNotFoundError' in (tmp_path / 'gpu_report.md').read_text()
    monkeypatch.setattr('sys.argv', ['run', '--wheels', str(tmp_path / 'nowhere')])
    with pytest.raises(SystemExit):
        main()
    assert 'there is no folder' in capsys.readouterr().err


def test_what_computes_in_the_background_has_ended_before_a_part_measures(tmp_path):
    pulse = tmp_path / 'pulse'
    beats = f'import time, pathlib\nwhile True: pathlib.Path({str(pulse)!r}).touch(); time.sleep(0.01)'
    waits = f'import pathlib, time\nwhile not pathlib.Path({str(pulse)!r}).exists(): time.sleep(0.01)'
    removes = f'import pathlib, time; file = pathlib.Path({str(pulse)!r}); file.unlink(); time.sleep(0.2); '
    removes += 'assert not file.exists()'
    parts = [part('Before', waits), part('Measures', removes, alone=True)]
    assert run(parts, tmp_path / 'report.md', {}, ahead=['-c', beats]) == 0


def test_wheels_are_unpacked_where_they_fit_and_nothing_has_the_package(tmp_path):
    minor = sys.version_info.minor
    for name in (
        f'ours-1-cp3{minor}-cp3{minor}-linux_x86_64',
        'other-2-cp37-cp37m-linux_x86_64',
        'pytest-0-py3-none-any',
    ):
        with ZipFile(tmp_path / f'{name}.whl', 'w') as wheel:
            wheel.writestr(f'{name.split("-")[0]}_module.py', '')
    said = unpack(tmp_path, tmp_path / 'unpacked')
    assert [path.name for path in (tmp_path / 'unpacked').iterdir()] == ['ours_module.py']
    assert 'Unpacked: ours 1.' in said
    assert 'fits Python' in said
    assert 'other' in said
    assert fits('cp38', 'abi3')
    assert not fits(f'cp3{minor + 1}', 'abi3')
    assert fits('py2.py3', 'none')


def test_all_parts_have_nine_minutes_on_a_gpu_and_their_modules_exist():
    assert sum(part.seconds for part in parts_on('cuda')) <= 540
    names = [part.program[1] for device in ('cuda', 'cpu') for part in parts_on(device)]
    assert all((ROOT / f'{name.replace(".", "/")}.py').is_file() for name in names if name != 'mmgcvit')
