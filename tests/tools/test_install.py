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
    module.whole_install_mmcv = module.install_mmcv
    for hosts in module.HOSTS.values():
        (tmp_path / hosts.pins.name).write_text(hosts.pins.read_text())
    own_pins = {name: hosts._replace(pins=tmp_path / hosts.pins.name) for name, hosts in module.HOSTS.items()}
    monkeypatch.setattr(module, 'HOSTS', own_pins)
    module.pins = tmp_path / 'pins.txt'
    monkeypatch.setattr(module, 'check_machine', lambda hosts: None)
    monkeypatch.setattr(module, 'create_venv', lambda venv: venv.mkdir(exist_ok=True) or venv / 'bin' / 'python')
    monkeypatch.setattr(module, 'pip_install', lambda python, hosts, what, **_: module.steps.append(what[0]))
    monkeypatch.setattr(module, 'install_mmcv', lambda python, venv, hosts: module.steps.append('mmcv'))
    monkeypatch.setattr(module, 'ensure_opencv_imports', lambda *_: None)
    monkeypatch.setattr('sys.argv', ['install.py', str(tmp_path / '.venv')])
    return module


STEPS = ['setuptools', 'torch', 'mmcv', '--no-build-isolation']


def test_the_second_call_installs_nothing(install):
    install.main()
    install.main()
    assert install.steps == STEPS


def test_changed_pins_install_again(install):
    install.main()
    install.pins.write_text(install.pins.read_text() + 'something==1\n')
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


@pytest.fixture
def builds(install, tmp_path, monkeypatch):
    """What mmcv is compiled for, each time that it is: its pins and whether for GPUs."""
    built = []

    def build(python, hosts, cache, log, cuda):
        built.append((install.pin_of(hosts, hosts.mmcv), install.pin_of(hosts, 'torch'), cuda))
        cache.mkdir(parents=True)
        (cache / 'mmcv.whl').touch()

    monkeypatch.setattr(install, 'install_mmcv', install.whole_install_mmcv)
    monkeypatch.setattr(install, 'build_mmcv', build)
    monkeypatch.setattr(install, 'can_build_for_gpu', lambda python: False)
    monkeypatch.setattr(install, 'platform_of', lambda python: 'cpython-311 x86_64')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('FORCE_CUDA', raising=False)
    return built


def test_mmcv_is_compiled_once_for_all_environments_of_a_machine(install, builds, tmp_path, monkeypatch):
    install.main()
    monkeypatch.setattr('sys.argv', ['install.py', str(tmp_path / 'another')])
    install.main()
    assert len(builds) == 1


def test_mmcv_is_compiled_again_for_another_torch(install, builds):
    install.main()
    install.pins.write_text(install.pins.read_text().replace('torch===2.13.0', 'torch===2.14.0'))
    install.main()
    assert [torch for _, torch, _ in builds] == ['torch===2.13.0', 'torch===2.14.0']


def test_the_original_packages_go_with_a_torch_and_an_mmcv_of_their_own(install, builds, monkeypatch):
    monkeypatch.setattr('sys.argv', ['install.py', str(install.pins.parent / 'upstream'), '--hosts', 'upstream'])
    install.main()
    assert builds == [('mmcv==2.1.0', 'torch===2.1.2', '0')]


def test_an_environment_built_for_gpus_stays_so_without_being_told_again(install, builds, monkeypatch):
    monkeypatch.setenv('FORCE_CUDA', '1')
    install.main()
    monkeypatch.delenv('FORCE_CUDA')
    steps = len(install.steps)
    install.main()
    assert len(install.steps) == steps
    install.pins.write_text(install.pins.read_text() + 'something==1\n')
    install.main()
    assert [cuda for _, _, cuda in builds] == ['1']


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
        module.check_machine(module.HOSTS['maintained'])
