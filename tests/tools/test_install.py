"""The installer does nothing twice, starts again when its pins change, and refuses what it cannot mend."""

import importlib.util
import io

import pytest

from ..conftest import ROOT


@pytest.fixture
def install(tmp_path, monkeypatch):
    """tools/install.py with what it would run written down instead, and pins of its own."""
    spec = importlib.util.spec_from_file_location('install', ROOT / 'tools' / 'install.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.steps = []
    pins = tmp_path / 'pins.txt'
    pins.write_text((ROOT / 'pins.txt').read_text())
    monkeypatch.setattr(module, 'PINS', pins)
    monkeypatch.setattr(module, 'DECIDING_FILES', [pins])
    monkeypatch.setattr(module, 'check_machine', lambda: None)
    monkeypatch.setattr(module, 'create_venv', lambda venv: venv.mkdir(exist_ok=True) or venv / 'bin' / 'python')
    monkeypatch.setattr(module, 'pip_install', lambda python, what, **_: module.steps.append(what[0]))
    monkeypatch.setattr(module, 'install_mmcv', lambda python, venv: module.steps.append('mmcv'))
    monkeypatch.setattr(module, 'ensure_opencv_imports', lambda python: None)
    monkeypatch.setattr('sys.argv', ['install.py', str(tmp_path / '.venv')])
    return module


STEPS = ['setuptools', 'torch', 'mmcv', '--no-build-isolation']


def test_the_second_call_installs_nothing(install):
    install.main()
    install.main()
    assert install.steps == STEPS


def test_changed_pins_install_again(install):
    install.main()
    install.PINS.write_text(install.PINS.read_text() + 'something==1\n')
    install.main()
    assert install.steps == STEPS * 2


def test_an_interrupted_call_is_taken_up_again(install, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    whole = install.install_mmcv
    monkeypatch.setattr(install, 'install_mmcv', stop)
    with pytest.raises(KeyboardInterrupt):
        install.main()
    monkeypatch.setattr(install, 'install_mmcv', whole)
    install.main()
    assert install.steps == ['setuptools', 'torch', *STEPS]


def test_the_wheel_of_mmcv_depends_on_torchs_version(install):
    assert install.pin_of('torch').startswith('torch===')
    assert install.pin_of('onedl-mmcv').startswith('onedl-mmcv==')
    assert install.fingerprint('a', 'b') != install.fingerprint('ab', '')


def test_a_builds_progress_is_shown_with_the_time_left_and_logged_whole(install, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install, 'SECONDS_BETWEEN_REPORTS', -1)
    lines = ['compiling\n', '  [39/78] c++ a.cpp\n', 'warning\n']
    assert list(install.report_progress(io.StringIO(''.join(lines)), tmp_path / 'log')) == lines
    assert '39 of 78 files compiled, about 0:0' in capsys.readouterr().out
    assert (tmp_path / 'log').read_text() == ''.join(lines)


def test_a_machine_without_a_compiler_is_told_what_to_install(monkeypatch):
    spec = importlib.util.spec_from_file_location('install', ROOT / 'tools' / 'install.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.shutil, 'which', lambda _: None)
    with pytest.raises(SystemExit, match=r'C\+\+ compiler.*apt-get install g\+\+'):
        module.check_machine()
