"""Installing the package leaves torch and OpenMMLab packages as they are; versions are pinned in one place."""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import metadata, requires, version
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

import mmgcvit
from mmgcvit import registry as requirements
from mmgcvit.errors import PIP_PACKAGES

from .programs import run

ROOT = Path(__file__).parent.parent
HEAVY = re.compile(r'(onedl-)?(torch|torchvision|mm\w+)\b')


def test_a_plain_install_requires_neither_torch_nor_hosts():
    plain = [requirement for requirement in requires('mmgcvit') if 'extra ==' not in requirement]
    assert plain
    assert not [requirement for requirement in plain if HEAVY.match(requirement)]


def test_extras_that_messages_name_are_there():
    extras = re.findall(r'\[(\w+)\]', ' '.join(PIP_PACKAGES.values()))
    assert {*extras} <= {*metadata('mmgcvit').get_all('Provides-Extra')}


def test_the_pinned_torch_is_the_plain_build():
    """torchvision does not import beside a build with a local version, which == would accept."""
    assert re.search(r'^torch===\d', (ROOT / 'pins.txt').read_text(), re.MULTILINE)


def test_versions_are_pinned_in_one_place():
    others = [
        ROOT / 'setup.py',
        ROOT / 'Makefile',
        *(ROOT / 'tools' / 'installation').glob('*.py'),
        ROOT / '.pre-commit-config.yaml',
    ]
    assert not [path.name for path in others if re.search(r'\w==+\d', path.read_text())]


@pytest.mark.parametrize(('name', 'message'), [('mmcv', r'mmcv 99\.0 or later; installed is'), ('mmnothing', '99')])
def test_a_missing_or_too_old_package_is_named_with_the_version_needed(name, message, monkeypatch):
    monkeypatch.setitem(requirements.MINIMUM_VERSIONS, name, '99.0')
    with pytest.raises(ImportError, match=message):
        requirements.check_requirements()


def test_everything_that_the_tests_need_is_in_the_repository():
    """An ignored file is there where it was made, and missing in every clone."""
    tracked = subprocess.run(['git', 'ls-files', 'tests'], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip('not a git checkout')
    present = {str(p.relative_to(ROOT)) for p in (ROOT / 'tests').rglob('*') if p.is_file() and p.suffix != '.pyc'}
    assert present <= set(tracked.stdout.split())


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Built as pip does by default, from a copy: building leaves folders behind."""
    source, out = tmp_path_factory.mktemp('copy') / 'source', tmp_path_factory.mktemp('out')
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns('.*', 'data', 'work_dirs', 'build', '*.egg-info'))
    command = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '-w', str(out), str(source)]
    ended = run(command)
    assert ended.returncode == 0, ended.stderr
    (path,) = out.glob('*.whl')
    return path


@pytest.mark.slow
def test_a_wheel_carries_configs_tools_and_the_list_of_models_for_mim(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    carried = ['model-index.yml', 'configs/cascade_gcvit_b.py', 'configs/_base_/runtime_det.py', 'tools/train.py']
    carried.append('configs/demo/gcvit_digits_cls.py')
    assert {f'mmgcvit/.mim/{name}' for name in carried} <= names
    assert not [name for name in names if '/installation/' in name or name.endswith('.pth')]


def test_an_installation_has_for_mim_what_it_looks_for():
    """mim takes the folder of the package beside its metadata, in an editable install too."""
    mim = Path(sysconfig.get_path('purelib')) / 'mmgcvit' / '.mim'
    assert (mim / 'tools' / 'train.py').is_file()
    assert (mim / 'model-index.yml').is_file()
    cfg = Config.fromfile(mim / 'configs' / 'cascade_gcvit_b.py')
    assert cfg.model == Config.fromfile(ROOT / 'configs' / 'cascade_gcvit_b.py').model


def test_the_version_stands_in_one_place_and_the_papers_about_it_agree():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    newest = re.search(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert version('mmgcvit') == mmgcvit.__version__ == citation['version'] == newest[1]


def test_the_workflow_runs_what_the_readme_says():
    workflow = yaml.safe_load((ROOT / '.github' / 'workflows' / 'tests.yml').read_text())
    commands = {step['run'] for job in workflow['jobs'].values() for step in job['steps'] if 'run' in step}
    readme = (ROOT / 'README.md').read_text()
    assert commands == {'make demo', 'make test'}
    assert all(re.search(rf'^{command} ', readme, re.MULTILINE) for command in commands)
