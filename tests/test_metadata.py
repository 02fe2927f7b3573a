"""The package requires neither torch nor OpenMMLab packages, pins versions in one place, and has
the files for mim.

Modules: `pyproject.toml`.
"""

import re
import shutil
import sys
import sysconfig
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from packaging.version import Version

import mmgcvit
from mmgcvit.ops import requirements

from .programs import ROOT, run

HEAVY = re.compile(r'(onedl-)?(torch|torchvision|mm\w+)\b')


def test_plain_install_requires_neither_torch_nor_openmmlab_packages():
    plain = [requirement for requirement in requires('mmgcvit') if 'extra ==' not in requirement]
    assert plain
    assert not [requirement for requirement in plain if HEAVY.match(requirement)]


def test_the_lowest_versions_of_the_extras_are_those_that_an_import_demands():
    """The page of the installation names them too."""
    _, _, extra = (ROOT / 'setup.py').read_text().partition("'openmmlab-upstream': [")
    bounds = dict(re.findall(r"'([\w-]+)>=([\d.]+)", extra.partition(']')[0]))
    for name, lowest in requirements.MINIMUM_VERSIONS.items():
        assert Version(lowest) == Version(bounds.get(name) or bounds[f'{name}-lite']), name


def test_versions_are_pinned_in_one_place():
    # torchvision cannot be imported with a torch build of another local version, which == would
    # accept.
    assert re.search(r'^torch===\d', (ROOT / 'pins.txt').read_text(), re.MULTILINE)
    others = [ROOT / name for name in ('setup.py', 'Makefile', '.pre-commit-config.yaml')]
    others += (ROOT / 'tools' / 'installation').glob('*.py')
    assert not [path.name for path in others if re.search(r'\w==+\d', path.read_text())]


def test_old_package_is_named_with_the_required_version(monkeypatch):
    monkeypatch.setitem(requirements.MINIMUM_VERSIONS, 'mmcv', '99.0')
    with pytest.raises(ImportError, match=r'mmcv 99\.0 or later, but .* is installed'):
        requirements.check_requirements()


@pytest.mark.long
def test_wheel_has_configs_tools_and_model_index_for_mim(tmp_path):
    """It is built from a copy, because building leaves folders behind."""
    source = tmp_path / 'source'
    ignored = shutil.ignore_patterns('.*', 'data', 'work_dirs', 'build', '*.egg-info')
    shutil.copytree(ROOT, source, ignore=ignored)
    options = ['--quiet', '--no-deps', '-w', tmp_path]
    ended = run([sys.executable, '-m', 'pip', 'wheel', *options, source])
    assert ended.returncode == 0, ended.stderr
    (wheel,) = tmp_path.glob('*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = (
        'configs/cascade_gcvit_b.py',
        'configs/_base_/runtime_det.py',
        'configs/demo/gcvit_digits_cls.py',
        'model-index.yml',
        'tools/train.py',
        'tools/figures/views.py',
    )
    assert {'mmgcvit/commands/habits.ini', *map('mmgcvit/.mim/{}'.format, expected)} <= names
    assert not [name for name in names if '/installation/' in name or name.endswith('.pth')]


def test_installation_has_the_files_that_mim_reads():
    """mim uses the package folder in site-packages, in an editable install too."""
    mim = Path(sysconfig.get_path('purelib')) / 'mmgcvit' / '.mim'
    assert (mim / 'tools' / 'train.py').is_file()
    assert (mim / 'model-index.yml').is_file()
    cfg = Config.fromfile(mim / 'configs' / 'cascade_gcvit_b.py')
    assert cfg.model == Config.fromfile(ROOT / 'configs' / 'cascade_gcvit_b.py').model


def test_version_agrees_with_citation_and_changelog():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    newest = re.search(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert version('mmgcvit') == mmgcvit.__version__ == citation['version'] == newest[1]
