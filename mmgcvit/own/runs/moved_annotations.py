"""Write the annotations of a run anew after the folders of its data have moved apart.

A run on several folders names each image relative to the folder that contains all of them, such as
``photos/a.jpg``. So names change if one of the folders is moved or renamed without the others.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...host.files import make_portable_path, read_text, write_text
from ...runs.folder import RunFolder
from ..data.records import escape_blanks
from .made import MADE_FOLDER, create_made


@dataclass(frozen=True)
class RenamedImages:
    """A folder with annotations in which images have other names."""

    folder: Path
    renamed: Mapping[Path, Path]  # the folders with which names begin, as they were and as they are

    def rename(self, name: str) -> str:
        """Return the name of an image, or its path if it is in none of the folders."""
        path = Path(os.path.normpath(name))
        for old, new in self.renamed.items():
            if path.is_relative_to(old):
                return str(new / path.relative_to(old))
        return name


def rename_images(run: RunFolder, made: Path, renamed: Mapping[Path, Path]) -> RenamedImages:
    """Write the annotations of a run with other names of images, and return their folder.

    It is a new one beside the old one, unless an earlier call has written the same.

    Args:
        run: The run.
        made: The folder of its annotations and its config.
        renamed: The folders with which names begin, as they were and as they are.
    """
    for folder in sorted(run.path.glob(f'{MADE_FOLDER}*')):
        expected = rename_in_files(made, folder, renamed)
        if all(has_text(folder / name, text) for name, text in expected.items()):
            return RenamedImages(folder, renamed)
    target = create_made(run)
    texts = rename_in_files(made, target, renamed)
    for path in made.iterdir():
        if path.is_dir():  # maps that were converted
            shutil.copytree(path, target / path.name)
        elif path.name not in texts:
            shutil.copyfile(path, target / path.name)
    # Last: a killed command leaves no folder that a later call takes for its own.
    for name, text in texts.items():
        write_text(target / name, text)
    return RenamedImages(target, renamed)


def has_text(file: Path, text: str) -> bool:
    return file.is_file() and read_text(file) == text


def rename_in_files(made: Path, target: Path, renamed: Mapping[Path, Path]) -> dict[str, str]:
    """Return the text of each annotation file of a run with other names of images.

    ``target`` is the folder for them and for converted maps.
    """
    images = RenamedImages(target, renamed)
    texts = {}
    for file in made.iterdir():
        if file.suffix == '.json':
            content = json.loads(read_text(file))
            for image in content['images']:
                image['file_name'] = images.rename(image['file_name'])
            texts[file.name] = json.dumps(content)
        elif file.suffix == '.txt':
            # Names may have other characters at which splitlines would split.
            lines = [rename_in_line(line, made, images) for line in read_text(file).split('\n')]
            texts[file.name] = '\n'.join(lines)
    return texts


def rename_in_line(line: str, made: Path, images: RenamedImages) -> str:
    """Return a line of a list with another name of its image.

    ``made`` is the folder of the list.
    """
    if not line:
        return line
    # A tab comes before the path of a map, and a blank before the index of a class.
    if '\t' not in line:
        name, _, label = line.rpartition(' ')
        return f'{escape_blanks(images.rename(name))} {label}'
    name, _, label_map = line.partition('\t')
    parts = Path(label_map).parts
    if made.name in parts:
        position = len(parts) - 1 - parts[::-1].index(made.name)
        inside = Path(*parts[position + 1 :])
        if (made / inside).is_file():  # a converted map
            moved = make_portable_path(images.folder / inside)
            return f'{escape_blanks(images.rename(name))}\t{moved}'
    return f'{escape_blanks(images.rename(name))}\t{images.rename(label_map)}'
