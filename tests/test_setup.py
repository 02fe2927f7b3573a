"""The package says which Pythons and torches it runs with as the installer does, and mim gets its
configs anew.

Modules: `setup.py`.
"""

import runpy
from types import SimpleNamespace
from unittest import mock

import install as installer
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from .programs import ROOT

pytest.importorskip('setuptools')


@pytest.fixture
def script():
    """Run setup.py, and return its names and what it passes on."""
    with mock.patch('setuptools.setup') as called:
        names = runpy.run_path(str(ROOT / 'setup.py'))
    return SimpleNamespace(names=names, arguments=called.call_args.kwargs)


def test_the_pythons_are_those_of_the_installer(script):
    accepted = SpecifierSet(script.arguments['python_requires'])
    oldest, newest = installer.OLDEST_PYTHON, installer.DISTRIBUTIONS['maintained'].newest_python
    versions = [f'3.{minor}' for minor in range(oldest[1], newest[1] + 1)]
    assert '3.9' not in accepted
    assert all(version in accepted for version in versions)
    named = [text.rpartition(' ')[2] for text in script.arguments['classifiers'] if ':: 3.' in text]
    assert named == versions


@pytest.mark.parametrize(
    ('name', 'extra'), [('maintained', 'openmmlab'), ('upstream', 'openmmlab-upstream')]
)
def test_the_torches_are_those_of_the_installer(name, extra, script):
    """The maintained packages are tried with the newest torch that there is."""
    distribution = installer.DISTRIBUTIONS[name]
    requirements = map(Requirement, script.arguments['extras_require'][extra])
    (torch,) = [each.specifier for each in requirements if each.name == 'torch']
    bounds = {each.operator: Version(each.version) for each in torch}
    assert bounds['>='] == Version(installer.format_version(distribution.oldest_torch))
    limit = Version(installer.format_version(distribution.torch_limit))
    assert bounds['<'] == limit if name == 'upstream' else bounds['<'] <= limit


def test_files_that_are_no_modules_are_in_the_package(script):
    for package, names in script.arguments['package_data'].items():
        for name in names:
            assert (ROOT / package.replace('.', '/') / name).is_file()
    listed = [name for names in script.arguments['package_data'].values() for name in names]
    assert sorted(listed) == ['habits.ini', 'py.typed']


@pytest.mark.parametrize('is_editable', [True, False])
def test_mim_gets_the_configs_of_now(is_editable, script, tmp_path, monkeypatch):
    """In an editable install they inherit from the clone's, so that edits take effect."""
    from setuptools import Distribution
    from setuptools.command.build_py import build_py

    monkeypatch.setattr(build_py, 'run', lambda self: None)
    command = script.names['BuildWithConfigs'](Distribution())
    command.editable_mode = is_editable
    command.build_lib = str(tmp_path)
    command.get_finalized_command = lambda name: SimpleNamespace(install_lib=str(tmp_path))
    mim = tmp_path / 'mmgcvit' / '.mim'
    left = mim / 'configs' / 'renamed.py'
    left.parent.mkdir(parents=True)
    left.touch()
    command.run()
    assert not left.exists()
    assert (mim / 'model-index.yml').is_file()
    assert (mim / 'tools' / 'train.py').is_file()
    assert not (mim / 'tools' / 'installation').exists()
    clone = ROOT / 'configs' / 'gcvit_t_in1k.py'
    text = (mim / 'configs' / clone.name).read_text()
    assert text == (f'_base_ = {str(clone)!r}\n' if is_editable else clone.read_text())
