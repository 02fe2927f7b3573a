"""Write matplotlib figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UserError
from ...host.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110  # of figures


def check_figure_suffix(path: Path) -> None:
    """Raise a UserError if matplotlib cannot write files with this suffix."""
    from matplotlib.backend_bases import FigureCanvasBase

    if path.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise UserError(f'{path}: expected a name that ends in .png, .pdf, .svg or .jpg')


def make_legend_label(name: str) -> str:
    """Return a name as a label of a matplotlib legend, which leaves out those that begin with an
    underscore.
    """
    return f' {name}' if name.startswith('_') else name


def write_figure(path: Path, figure: 'Figure') -> None:
    """Write a matplotlib figure atomically, in the format of the path's suffix."""
    check_figure_suffix(path)
    for text in figure.findobj(lambda artist: hasattr(artist, 'set_parse_math')):
        text.set_parse_math(False)  # names may contain $
    with write_atomically(path, flush=False) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=DOTS_PER_INCH)
