"""The README says where everything lives."""

import re

from ..conftest import ROOT
from .pages import tables_of


def test_every_folder_of_the_package_has_its_line():
    (table,) = [table for table in tables_of('README.md') if table[0][0] == 'folder']
    named = {folder for row in table[1:] for folder in re.findall(r'mmgcvit/(\w+)(?!\w*\.py)', row[0])}
    folders = {path.parent.name for path in (ROOT / 'mmgcvit').glob('*/__init__.py')}
    assert folders <= named
