"""Sentences about what cannot be used say what to do, and command lines in them are accepted by the
parsers.

Modules: `mmgcvit/errors.py`, `mmgcvit/commands`.
"""

import ast
import re
import shlex
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image

import mmgcvit
from mmgcvit.commands.main import COMMANDS
from mmgcvit.commands.train import list_next_commands
from mmgcvit.datasets.coco_content import find_missing_keys
from mmgcvit.datasets.opening import read_sizes
from mmgcvit.errors import UserError
from mmgcvit.own.pictures.finding import find_inputs

from .coco import make_annotation, make_content, make_image

PACKAGE = Path(mmgcvit.__file__).parent
# Where a message has a value, the command line has this.
VALUE = 'value'
# A command line ends where a sentence goes on.
LINE = re.compile(r"mmgcvit ([\w-]+)((?: (?!and |or |for |with )[^\s'`.,;()]+(?:\.\w+)*)*)")


def join_text(node):
    """Return the text of a str or an f-string in the code, or None for other nodes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ''.join(
            part.value if isinstance(part, ast.Constant) else VALUE for part in node.values
        )
    return None


def list_messages(path):
    """List the texts in a file of the package, without docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            docstrings.add(ast.get_docstring(node, clean=False))
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    texts = [join_text(node) for node in ast.walk(tree) if id(node) not in inner]
    return [text for text in texts if text and text not in docstrings]


def list_lines():
    """List the command lines in the messages of the package, with the file of each."""
    lines = []
    for path in sorted(PACKAGE.rglob('*.py')):
        for text in list_messages(path):
            for command, rest in LINE.findall(text):
                if command in COMMANDS:
                    lines.append((str(path.relative_to(PACKAGE)), command, rest.strip()))
    return lines


LINES = list_lines()


def test_there_are_messages_with_command_lines():
    assert len(LINES) >= 10
    assert {'train', 'predict', 'check-data', 'mistakes'} <= {command for _, command, _ in LINES}


@pytest.mark.parametrize(('file', 'command', 'rest'), LINES)
def test_each_command_line_in_a_message_is_accepted_by_its_parser(file, command, rest):
    """A word in capitals, such as CONFIG, stands for a value. A sentence may name the command only."""
    if rest in ('', '--data'):  # the name of a command, also with what it is about
        return
    parser = ArgumentParser(exit_on_error=False)
    import_module(f'mmgcvit.commands.{command.replace("-", "_")}').add_options(parser)
    _, unknown = parser.parse_known_intermixed_args(shlex.split(rest))
    assert unknown == [], file


def list_options():
    """List the options of all commands."""
    options = {'--help', '--version'}
    for command in COMMANDS:
        parser = ArgumentParser()
        import_module(f'mmgcvit.commands.{command.replace("-", "_")}').add_options(parser)
        options.update(name for action in parser._actions for name in action.option_strings)
    return options


# Options of labelme2yolo, nvidia-smi, docker and tensorboard, and one whose name a message fills in
OTHERS = {
    '--json_dir',
    '--output_format',
    '--val_size',
    '--list-gpus',
    '--shm-size',
    '--logdir',
    f'--{VALUE}',
}


def test_each_option_that_a_message_names_is_one_of_a_command():
    known = list_options() | OTHERS
    unknown = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        for text in list_messages(path):
            for name in re.findall(r'(?<![\w-])--[a-z][a-z_-]*[a-z]', text):
                if name not in known:
                    unknown.setdefault(name, []).append(f'{path.relative_to(PACKAGE)}: {text:.60}')
    assert unknown == {}


@pytest.mark.parametrize('val_cfg', [None, {}])
@pytest.mark.parametrize('scope', ['mmdet', 'mmpose'])
def test_the_commands_after_a_training_are_accepted_by_their_parsers(scope, val_cfg):
    settings = {'work_dir': 'work_dirs/a b', 'val_cfg': val_cfg}
    lines = list_next_commands(Config({'default_scope': scope, 'model': {}, **settings}))
    assert bool(lines) == (scope == 'mmdet' or val_cfg is not None)
    for line in lines:
        command, *words = shlex.split(line)
        parser = ArgumentParser(exit_on_error=False)
        import_module(f'mmgcvit.commands.{command}').add_options(parser)
        assert parser.parse_known_intermixed_args(words)[1] == []


def test_an_image_that_is_too_large_has_a_way_out(tmp_path, monkeypatch):
    Image.new('RGB', (30, 30)).save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(
        UserError, match=r'Cut it into smaller images, or scale it down\. In Python'
    ):
        read_sizes(tmp_path / 'a.png')


def test_a_key_that_tools_leave_out_says_what_it_is():
    annotation = make_annotation(5, 1, 1, [0, 0, 3, 3])
    del annotation['area']
    content = make_content([make_image(1, 'a.png', 9, 9)], [annotation], {'cat': 1})
    (reason,) = find_missing_keys(content)
    assert reason == (
        "annotations[0] (id 5) has no 'area' (area: of a mask, its pixels; of a box, its width times "
        'its height)'
    )


def test_a_pattern_with_brackets_in_a_folders_name_is_answered_by_one_that_works(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path('photos [2024]').mkdir()
    Image.new('RGB', (9, 9)).save('photos [2024]/a.png')
    with pytest.raises(UserError, match='enclose alternatives') as raised:
        find_inputs(['photos [2024]/*.png'])
    (images, _) = find_inputs([str(raised.value).rpartition(': ')[2]])
    assert images == ['photos [2024]/a.png']
