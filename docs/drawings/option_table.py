"""``python -m docs.drawings.option_table`` writes the table of all options of ``train --data`` in
docs/custom_dataset.md from :class:`mmgcvit.own.training.options.Options`.
"""

import re
from pathlib import Path

from mmgcvit.own.training.options import render_table

PAGE = Path(__file__).parent.parent / 'custom_dataset.md'
TABLE = re.compile(r'^\| option \| what it sets \|.*?(?=\n\n)', re.MULTILINE | re.DOTALL)


def render_page() -> str:
    """Return the page with its table made anew."""
    return TABLE.sub(lambda _: render_table(), PAGE.read_text(), count=1)


if __name__ == '__main__':
    PAGE.write_text(render_page())
