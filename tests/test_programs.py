"""What tests start ends with them; a forked program is to itself what a new process would be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import fork_server, programs

# Starts a process that leaves group, session and parent behind, as torch's launcher does with its own, and waits.
ESCAPING = 'setsid --fork sleep 1000; echo started; sleep 1000; true'


def test_what_a_test_starts_ends_with_it_wherever_it_has_gone():
    with programs.started(['bash', '-c', ESCAPING], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'started\n'
        assert len(list(programs.running(process))) >= 2
    assert not list(programs.running(process))


def test_a_process_out_of_time_shows_what_it_printed():
    with pytest.raises(AssertionError, match=r'not ended after 1 s: (.|\n)*started'):
        programs.run(['bash', '-c', ESCAPING], timeout=1)


@pytest.fixture
def script(tmp_path):
    """Write a script; returns its path."""

    def script(text):
        (tmp_path / 'script.py').write_text(text)
        return tmp_path / 'script.py'

    return script


SEEN = """
import os, sys
print(__name__, sys.argv[1:], sys.path[0], os.environ.get('GIVEN'), os.getcwd())
print('words', file=sys.stderr)
sys.exit({exit})
"""


@pytest.mark.parametrize('exit', ['0', '3', "'a sentence'"])
def test_a_forked_program_prints_and_ends_as_a_new_process_does(script, exit):
    path, environment = script(SEEN.format(exit=exit)), os.environ | {'GIVEN': 'value'}
    forked = fork_server.run(path, 'a', 1, environment=environment)
    new = programs.run([sys.executable, path, 'a', 1], environment)
    assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)


def test_a_forked_program_finds_the_hosts_imported_and_no_gpu_looked_for(script):
    ended = fork_server.run(script('import sys, torch; print(set(sys.modules)); print(torch.cuda.is_initialized())'))
    assert all(f"'{name}'" in ended.stdout for name in fork_server.PRELOADED)
    assert ended.stdout.endswith('False\n')


def test_one_forked_program_changes_nothing_for_the_next(script):
    changing = script('import os, mmengine; mmengine.changed = True; os.environ["CHANGED"] = "1"; print("done")')
    assert fork_server.run(changing).stdout == 'done\n'
    seeing = script('import os, mmengine; print(hasattr(mmengine, "changed"), "CHANGED" in os.environ)')
    assert fork_server.run(seeing).stdout == 'False False\n'


def test_a_forked_program_out_of_time_ends_with_what_it_started(script, tmp_path):
    child = tmp_path / 'child'
    starting = script(
        'import subprocess, time\n'
        f'open({str(child)!r}, "w").write(str(subprocess.Popen(["sleep", "1000"]).pid))\n'
        'print("started", flush=True)\n'
        'time.sleep(1000)\n'
    )
    with pytest.raises(AssertionError, match=r'not ended after 2 s(.|\n)*started'):
        fork_server.run(starting, timeout=2)
    assert not is_running(child.read_text())


def is_running(number):
    """Of one that has ended, and that nobody has waited for, only the number is left."""
    command = Path('/proc', number, 'cmdline')
    return command.exists() and command.read_bytes() != b''
