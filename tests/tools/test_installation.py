"""The installer skips an up-to-date environment, reinstalls if pins change, keeps torch, and
explains failures.
"""

import sys
from importlib import metadata
from types import SimpleNamespace

import install as installer
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MAINTAINED = installer.DISTRIBUTIONS['maintained']


def test_installation_is_repeated_only_after_changed_pins_or_an_interruption(tmp_path, monkeypatch):
    """Without pip, checks or network; the environment has torch already."""
    pins, installed = tmp_path / 'pins.txt', []
    pins.write_text(MAINTAINED.pins.read_text())
    for name in (
        'check_machine',
        'check_imports',
        'compile_bytecode',
        'ensure_opencv_imports',
        'should_compile',
    ):
        monkeypatch.setattr(installer, name, lambda *_: None)
    monkeypatch.setattr(installer, 'DISTRIBUTIONS', {'maintained': MAINTAINED._replace(pins=pins)})
    monkeypatch.setattr(
        installer, 'create_venv', lambda venv: venv.mkdir(exist_ok=True) or venv / 'bin' / 'python'
    )
    monkeypatch.setattr(installer, 'get_version', lambda *_: '2.9.1+cu126')
    monkeypatch.setattr(
        installer.Pip, 'install', lambda pip, what, **_: installed.append((what[0], pip.pins))
    )
    monkeypatch.setattr(sys, 'argv', ['install.py', str(tmp_path / '.venv')])
    for line, interrupts in (
        ('', False),
        ('', False),
        ('something==1\n', False),
        ('other==1\n', True),
        ('', False),
    ):
        pins.write_text(pins.read_text() + line)
        with monkeypatch.context() as patch:
            if interrupts:
                patch.setattr(installer, 'check_imports', sys.exit)
                with pytest.raises(SystemExit):
                    installer.main()
            else:
                installer.main()
    assert [step for step, _ in installed] == ['--no-deps', 'torch', '--no-deps'] * 4
    assert pins not in [constraints for _, constraints in installed]


def test_installed_torch_is_kept_if_the_packages_work_with_it(tmp_path):
    lines = (
        installer.write_constraints('2.9.1+cu126', MAINTAINED, tmp_path).read_text().splitlines()
    )
    assert {'torch===2.9.1+cu126', 'onedl-mmcv==2.3.6'} < {*lines}
    assert not any(line.startswith(('torch===2.13', 'torchvision=')) for line in lines)
    with pytest.raises(SystemExit, match=r'torch 2\.0\.1; these packages need 2\.1 or later'):
        installer.write_constraints('2.0.1', MAINTAINED, tmp_path)
    with pytest.raises(
        SystemExit, match=r'torch 2\.9\.0; these packages need 2\.1 or later, and before 2\.6'
    ):
        installer.write_constraints('2.9.0', installer.DISTRIBUTIONS['upstream'], tmp_path)


def test_operators_are_compiled_on_request_or_with_a_gpu_and_matching_nvcc(monkeypatch):
    monkeypatch.setattr(installer, 'find_missing_compiler', lambda: None)
    cases = {
        ('auto', False): False,
        ('auto', True): True,
        ('torchvision', True): False,
        ('compiled', False): True,
    }
    for (operators, has_nvcc), compiles in cases.items():
        monkeypatch.setattr(installer, 'has_matching_nvcc', lambda _, has_nvcc=has_nvcc: has_nvcc)
        assert installer.should_compile(operators, sys.executable, '2.13.0', MAINTAINED) == compiles


@pytest.mark.parametrize(
    ('name', 'extra'), [('maintained', 'openmmlab'), ('upstream', 'openmmlab-upstream')]
)
def test_lock_files_have_the_pinned_versions_and_all_requirements_except_torch(name, extra):
    distribution, locked = installer.DISTRIBUTIONS[name], {}
    # Lines with hashes are indented. A package has one requirement for each range of Python
    # versions.
    lines = [
        line for line in distribution.lock.read_text().splitlines() if line and line[0] not in ' #'
    ]
    for requirement in (Requirement(line.rstrip(' \\')) for line in lines):
        locked.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    for line in distribution.pins.read_text().splitlines():
        pin = Requirement(line) if line and line[0] != '#' else None
        for requirement in locked.get(canonicalize_name(pin.name), []) if pin else ():
            marks = [requirement.marker, pin.marker]
            assert requirement.specifier == pin.specifier or (all(marks) and marks[0] != marks[1])
    for requirement in map(Requirement, metadata.requires('mmgcvit')):
        wanted = [
            {'extra': name}
            for name in (extra, 'digits', 'checkpoints', 'export', 'benchmark', 'test', 'lint')
        ]
        if requirement.marker is None or any(map(requirement.marker.evaluate, wanted)):
            assert (canonicalize_name(requirement.name) in locked) != requirement.name.startswith(
                'torch'
            )


def test_unsupported_python_and_full_disk_are_rejected(monkeypatch, tmp_path):
    monkeypatch.setattr(installer.shutil, 'disk_usage', lambda _: SimpleNamespace(free=3e9))
    with pytest.raises(
        SystemExit, match=r'has 3\.0 GB free, and a new environment takes about 8\. Free space'
    ):
        installer.check_machine(MAINTAINED, tmp_path / 'new')
    monkeypatch.setattr(sys, 'version_info', (3, 14, 0))
    with pytest.raises(
        SystemExit, match=r'Python 3\.10 to 3\.13 is needed; .*make install PYTHON='
    ):
        installer.check_machine(MAINTAINED, tmp_path / 'new')


def test_failures_of_pip_are_explained(tmp_path, capfd):
    python = tmp_path / 'python'
    for failure, words in (
        ('OSError: [Errno 28] No space left on device', 'the disk is full'),
        (
            'NewConnectionError(": Failed to establish a new connection")',
            'cannot be reached; check the network',
        ),
        ('ERROR: something else', 'see above'),
    ):
        python.write_text(f"#!/bin/sh\necho '{failure}' >&2\nexit 1\n")
        python.chmod(0o755)
        with pytest.raises(SystemExit, match=words):
            installer.Pip(python, tmp_path / 'pins.txt').install(['torch'])
        assert failure in capfd.readouterr().err
