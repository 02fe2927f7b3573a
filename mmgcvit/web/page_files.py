"""The files of the page, as the package brings them."""

from pathlib import Path

PAGE = Path(__file__).parent / 'page'
INDEX = 'index.html'
# What the page reads first: its mode, its models and its sample pictures.
CATALOGUE = 'models.json'
CONTENT_TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
}


def page_files() -> dict[str, Path]:
    """The page's own files, by their names."""
    return {path.name: path for path in sorted(PAGE.iterdir()) if path.suffix in CONTENT_TYPES}
