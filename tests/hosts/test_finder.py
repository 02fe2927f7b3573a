"""The start-up of an installation: the stand-ins are found for an mmcv, and where else something is called as they are,
nothing is.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmgcvit.hosts import finder

# What the line of the .pth does, and then a program.
START = f'import {finder.__name__.split(".")[-1]} as start; start.serve_stand_ins("mmgcvit/hosts"); '
USE = 'import mmcv.ops; print(mmcv.ops._ext.__file__)'
LOOK = 'import mmcv; from importlib.util import find_spec; print(find_spec("mmcv._ext"))'


def write(path, text=''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def site(tmp_path):
    """A folder of installed packages: this one with its start-up, and an mmcv without compiled operators."""
    site = tmp_path / 'site'
    write(site / 'mmgcvit' / '__init__.py')
    write(site / 'mmgcvit' / 'hosts' / 'stand_ins.py')
    write(site / 'mmcv' / '__init__.py')
    write(site / 'mmcv' / 'ops' / '__init__.py', 'from .. import _ext')
    shutil.copy(finder.__file__, site)
    (tmp_path / 'work').mkdir()
    return site


def told(site, program, start=START):
    """What a program prints that is started in the working folder, which Python looks into first."""
    command = [sys.executable, '-S', '-c', start + program]
    folders = {'PYTHONPATH': f'{site.parent / "work"}:{site}'}
    ended = subprocess.run(command, capture_output=True, text=True, env=folders, cwd=site.parent / 'work')
    return (ended.stdout + ended.stderr).splitlines()[-1]


@pytest.mark.parametrize('beside', [None, 'mmgcvit.py', 'mmgcvit/notes.txt', 'mmgcvit/__init__.py'])
def test_the_installations_own_are_found_whatever_else_is_called_mmgcvit(beside, site):
    """A script, a folder, another package in the working folder."""
    if beside is not None:
        write(site.parent / 'work' / beside)
    assert told(site, USE) == str(site / 'mmgcvit' / 'hosts' / 'stand_ins.py')


def test_another_mmcv_gets_none(site):
    write(site.parent / 'work' / 'mmcv' / '__init__.py')
    assert told(site, LOOK) == 'None'


def test_compiled_ones_come_first(site):
    write(site / 'mmcv' / '_ext.py')
    assert told(site, USE) == str(site / 'mmcv' / '_ext.py')


def test_of_a_package_that_is_gone_nothing_is_named(site):
    shutil.rmtree(site / 'mmgcvit')
    assert told(site, LOOK) == 'None'
    assert told(site, USE).startswith("ImportError: cannot import name '_ext' from 'mmcv'")


def test_the_package_that_is_imported_serves_its_own_once(site):
    """As a clone in front of an installation."""
    package = Path(finder.__file__).parent
    other = (
        f'sys.path.insert(0, {str(package)!r}); del sys.modules["finder"]; import finder; finder.serve_stand_ins(); '
    )
    found = told(
        site,
        f'import sys; {other}{LOOK[:-1]}.origin, [type(f).__name__ for f in sys.meta_path].count("StandInFinder"))',
    )
    assert found == f'{package / "stand_ins.py"} 1'
