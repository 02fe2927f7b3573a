"""Sphinx: the repository's Markdown pages as a site, beside the API. Built by `make docs`.

The source folder is the repository's root, so that every relative link means the same on the site
and in the files:

    sphinx-build -c docs -b html . build/docs
"""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / 'extensions')]

from sphinx.application import Sphinx  # noqa: E402
from sphinx.util.inspect import signature, stringify_signature  # noqa: E402

from mmgcvit import __version__  # noqa: E402
from mmgcvit.models.base import PyramidBackbone  # noqa: E402

project = 'mmgcvit'
author = 'The mmgcvit contributors'
copyright = author
version = release = __version__

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
    'source_pages',
]
root_doc = 'docs/index'
include_patterns = [
    'CHANGELOG.md',
    'RELEASING.md',
    'SECURITY.md',
    'configs/README.md',
    'configs/demo/weights/README.md',
    'docs/*.md',
    'docs/images/README.md',
    'docs/*.ipynb',
]
exclude_patterns = [
    '.*',
    'build',
    'data',
    'dist',
    'work_dirs',
    'mmgcvit',
    'tests',
    'tools',
    '*.egg-info',
]

# Anchors of headings as platforms for repositories make them, down to the deepest heading of any
# page.
myst_heading_anchors = 4
# A block without a language is output, and stays plain.
highlight_language = 'text'
# The diagrams and figures are links to nothing else.
myst_enable_extensions = ['attrs_inline']

# Notebooks are shown with the outputs that are stored in them; a test runs them.
nb_execution_mode = 'off'

autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
# Each parameter is listed with its type, also where a docstring explains it in its text.
autodoc_typehints_description_target = 'all'
autodoc_default_options = {'show-inheritance': True}
napoleon_numpy_docstring = False
# Inherited docstrings are those of the OpenMMLab packages.
autodoc_inherit_docstrings = False

html_theme = 'furo'
html_title = f'{project} {version}'
html_static_path = ['static']
html_css_files = ['wide.css']
# The site begins at docs/index.html; its root leads there.
html_extra_path = ['site_root']
html_show_sourcelink = False
html_copy_source = False
# Line numbers, prompts and outputs are not copied.
copybutton_exclude = '.linenos, .gp, .go'

# make docs-links requests external links.
linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False


def signature_of_the_constructor(
    app: Sphinx, what: str, name: str, documented: object, *others: object
) -> object:
    """Backbones are called with what their constructors take; Sphinx would show what notes it,
    ``__new__``.
    """
    if what != 'class' or not issubclass(documented, PyramidBackbone):
        return None
    constructor = signature(documented.__init__, bound_method=True)
    return stringify_signature(
        constructor, show_annotation=False, show_return_annotation=False
    ), None


def setup(app: Sphinx) -> None:
    app.connect('autodoc-process-signature', signature_of_the_constructor)
