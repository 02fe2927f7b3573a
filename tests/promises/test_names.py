"""Each name that the docs or ``__all__`` promise can be imported, or found in a registry, and each
public name and registered class is documented.

Modules: `mmgcvit`, `docs`.
"""

import pkgutil
import re
from importlib import import_module

import pytest
from mmengine.registry import Registry

import mmgcvit
from mmgcvit import registry

from ..docs.pages import PAGES, read_page

API = read_page('docs/api.md')
DIRECTIVES = re.findall(r'^\.\. auto\w+:: (\S+)$', API, re.MULTILINE)
# Configs name these modules in custom_imports, since they need mmdet, mmseg or mmpretrain.
IMPORTED_BY_CONFIGS = ('mmdet_fixes', 'mmseg_fixes', 'models.ablations')
PACKAGES = ['mmgcvit']
for module in pkgutil.walk_packages(mmgcvit.__path__, 'mmgcvit.'):
    if module.ispkg:
        PACKAGES.append(module.name)


def list_registered():
    """Return the names of the registered classes of this package."""
    for name in IMPORTED_BY_CONFIGS:
        import_module(f'mmgcvit.{name}')
    names = set()
    for child in vars(registry).values():
        if isinstance(child, Registry) and child.scope == 'mmgcvit':
            child.import_from_location()
            classes = child.module_dict.items()  # other tests may have registered some of theirs
            names.update(name for name, each in classes if each.__module__.startswith('mmgcvit.'))
    return names


@pytest.mark.parametrize('package', PACKAGES)
def test_names_in_all_can_be_imported(package):
    module = import_module(package)
    for name in getattr(module, '__all__', ()):
        assert getattr(module, name) is not None, name


def test_public_names_are_on_the_api_page():
    documented = {name.rpartition('.')[2] for name in DIRECTIVES}
    assert {*mmgcvit.__all__} - {'__version__'} - documented - {*find_names()} == set()


def find_names():
    """Return the names after ``mmgcvit.`` on all pages: registered classes and public names."""
    text = ' '.join(read_page(page) for page in PAGES)
    return re.findall(r'\bmmgcvit\.([A-Z]\w+)', text) + re.findall(r'\bmmgcvit\.(load)\b', text)


def test_directives_of_the_api_page_resolve():
    assert len(DIRECTIVES) > 50
    for name in DIRECTIVES:
        assert pkgutil.resolve_name(name).__doc__, name


def test_names_on_pages_are_registered_or_public():
    """Or the page defines the class itself."""
    text = ' '.join(read_page(page) for page in PAGES)
    defined = re.findall(r'^class (\w+)', text, re.MULTILINE)
    names = find_names()
    assert len(names) > 20
    assert {*names} - list_registered() - {*mmgcvit.__all__} - {*defined} == set()


def test_registered_classes_are_on_the_api_page():
    documented = {name.rpartition('.')[2] for name in DIRECTIVES}
    documented.update(re.findall(r'`mmgcvit\.(\w+)`', API))
    assert list_registered() - documented == set()
