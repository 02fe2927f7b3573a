"""``{command-help} NAME``: what ``mmgcvit NAME --help`` prints, asked for when the site is built."""

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from typing import Any
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


class CommandHelp(Directive):
    """A block with a command's help; without a name, that of ``mmgcvit`` itself."""

    optional_arguments = 1

    def run(self) -> Sequence[nodes.Node]:
        text = help_of(*self.arguments)
        return [nodes.literal_block(text, text, language='text')]


def help_of(*command: str) -> str:
    """What ``mmgcvit COMMAND --help`` prints, in lines of 100 columns.

    Raises:
        ValueError: There is no such command.
    """
    from mmgcvit.commands import main

    if set(command) - set(main.COMMANDS):
        raise ValueError(f'mmgcvit has no command {command}; there are {", ".join(main.COMMANDS)}')
    printed = io.StringIO()
    with (
        mock.patch.object(sys, 'argv', ['mmgcvit', *command, '--help']),
        mock.patch.dict('os.environ', COLUMNS='100'),
        redirect_stdout(printed),
        suppress(SystemExit),
    ):
        main.main()
    return printed.getvalue().strip()


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive('command-help', CommandHelp)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
