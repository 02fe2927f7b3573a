"""``python -m tests.docs.commands_page`` writes into docs/commands.md what ``mmgcvit COMMAND
--help`` prints.
"""

import io
import os
import re
from contextlib import redirect_stdout, suppress

from mmgcvit.commands.main import format_usage, run_command

from ..conftest import ROOT

PAGE = ROOT / 'docs' / 'commands.md'
# A heading and the code block below it.
SECTION = re.compile(
    r'^(# Commands|## mmgcvit (\S+))$(.*?^```text\n).*?^```$', re.MULTILINE | re.DOTALL
)


def read_help(command):
    if command is None:
        return format_usage()
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        run_command(command, ['--help'])
    return printed.getvalue().strip()


def render_page():
    """Return the page with current help texts; other text is kept."""
    text = PAGE.read_text()
    return SECTION.sub(lambda found: f'{found[1]}{found[3]}{read_help(found[2])}\n```', text)


if __name__ == '__main__':
    os.environ['COLUMNS'] = '100'
    PAGE.write_text(render_page())
