"""``python -m tests.docs.commands_page`` writes into docs/commands.md what ``mmgcvit COMMAND --help`` prints."""

import io
import re
import sys
from contextlib import redirect_stdout, suppress
from unittest import mock

from mmgcvit.commands import main

from ..conftest import ROOT

PAGE = ROOT / 'docs' / 'commands.md'
# A heading and the code block below it.
SECTION = re.compile(r'^(# Commands|## mmgcvit (\S+))$(.*?^```text\n).*?^```$', re.MULTILINE | re.DOTALL)


def read_help(*command):
    """Return the help text of a command, wrapped at 100 columns."""
    printed = io.StringIO()
    with (
        mock.patch.object(sys, 'argv', ['mmgcvit', *command, '--help']),
        mock.patch.dict('os.environ', COLUMNS='100'),
        redirect_stdout(printed),
        suppress(SystemExit),
    ):
        main.main()
    return printed.getvalue().strip()


def render_page():
    """Return the page with current help texts; other text is kept."""
    return SECTION.sub(
        lambda found: f'{found[1]}{found[3]}{read_help(*filter(None, [found[2]]))}\n```', PAGE.read_text()
    )


if __name__ == '__main__':
    PAGE.write_text(render_page())
