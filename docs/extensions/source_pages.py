"""Add a page to the site for each file of the repository that the pages link to.

MyST treats such a link as a download, and does not know links to folders. Here both become
references of their own type, which in HTML lead to ``source/PATH.html``: the highlighted text of a
file, or the contents of a folder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

REFERENCE_TYPE = 'repository file'


class FindSources(SphinxTransform):
    """Mark links to files and folders that are not pages."""

    # Before collectors see downloads, which would copy the files.
    default_priority = 800

    def apply(self, **kwargs: Any) -> None:
        for kind in (download_reference, pending_xref):
            for link in list(self.document.findall(kind)):
                path = self.path_of(link)
                if path is not None:
                    attributes = {'refdomain': '', 'reftype': REFERENCE_TYPE, 'reftarget': path}
                    attributes.update(refdoc=self.env.docname, refwarn=True)
                    link.replace_self(pending_xref('', *link.children, **attributes))

    def path_of(self, link: nodes.Element) -> str | None:
        """Return the file or folder that a link names, relative to the repository, or None."""
        root = Path(self.env.srcdir).resolve()
        target = link['reftarget'].partition('#')[0]
        if not target or link.get('refdomain'):
            return None
        folder = Path(self.env.doc2path(self.env.docname)).resolve().parent
        path = (root / target[1:] if target.startswith('/') else folder / target).resolve()
        is_page = self.env.path2doc(path) in self.env.found_docs
        if is_page or not path.exists() or not path.is_relative_to(root):
            return None
        return path.relative_to(root).as_posix()


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Make a marked link a link to the file's page; plain text where pages are not HTML."""
    if node['reftype'] != REFERENCE_TYPE:
        return None
    if app.builder.format != 'html':
        return content
    app.source_pages.add(node['reftarget'])
    address = app.builder.get_relative_uri(node['refdoc'], page_name(node['reftarget']))
    return nodes.reference('', '', *node.children, internal=True, refuri=address)


def page_name(path: str) -> str:
    return f'source/{path}'


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each file and folder that a page has linked to, and for the files of these
    folders.
    """
    root = Path(app.srcdir)
    wanted = set(app.source_pages)
    for folder in [path for path in wanted if (root / path).is_dir()]:
        wanted.update(file.relative_to(root).as_posix() for file in files_of(root / folder))
    for path in sorted(wanted):
        show = list_folder if (root / path).is_dir() else show_file
        body = f'<h1><code>{path}</code></h1>\n{show(app, root / path)}'
        yield page_name(path), {'title': path, 'body': body, 'source_path': path}, 'page.html'


def files_of(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.iterdir() if file.is_file() and not file.name.startswith('.')
    )


def list_folder(app: Sphinx, folder: Path) -> str:
    here = folder.relative_to(app.srcdir).as_posix()
    rows = []
    for file in files_of(folder):
        address = app.builder.get_relative_uri(page_name(here), page_name(f'{here}/{file.name}'))
        rows.append(f'<li><a href="{address}"><code>{file.name}</code></a></li>')
    return f'<ul>{"".join(rows)}</ul>'


def show_file(app: Sphinx, file: Path) -> str:
    try:
        lexer = get_lexer_for_filename(file.name)
    except ClassNotFound:
        lexer = TextLexer()
    language = lexer.aliases[0] if lexer.aliases else 'text'
    text = highlight(file.read_text(), lexer, HtmlFormatter(wrapcode=True))
    return f'<div class="highlight-{language} notranslate">{text}</div>'


def setup(app: Sphinx) -> dict[str, Any]:
    app.source_pages = set()
    app.add_transform(FindSources)
    app.connect('missing-reference', resolve)
    app.connect('html-collect-pages', pages)
    return {'parallel_read_safe': True, 'parallel_write_safe': False}
