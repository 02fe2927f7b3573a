"""The folder that takes what is predicted; nothing in it is overwritten without being asked."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import UserError
from ..files import from_root, refusal_of

# Pictures and videos with predictions drawn in; label maps; what is predicted for each frame of videos.
DRAWN, LABEL_MAPS, FRAMES = 'vis', 'labels', 'preds'
PREDICTIONS, IMAGES = 'predictions.json', 'images.json'
FOLDERS, FILES = (DRAWN, LABEL_MAPS, FRAMES), (PREDICTIONS, IMAGES)
# Pictures of these keep their names; of others they become PNG.
KEPT_ENDINGS = ('.jpg', '.jpeg', '.png')
UNFINISHED = '.part'


class Outputs:
    """Where things go, below a folder.

    Args:
        folder: The folder; made when the first thing is written.
        inputs: All files that are read. What is written keeps their names; where two have the same one, all keep
            their paths below their common folder. Where the format changes, the ending does; where inputs differ in
            their endings alone, the old one stays before it, so that none takes the name of another.
        overwrite: Whether files of an earlier call may be replaced.

    Raises:
        UserError: There are some, and they may not; or inputs lie where outputs go; or nothing can be written there.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], overwrite: bool = False) -> None:
        self.folder = folder
        self.taken: set[Path] = set()
        self.common = common_folder(inputs) if len({Path(path).name for path in inputs}) < len(inputs) else None
        self.names = {self.name_of(path) for path in inputs}
        self.stems = Counter(name.with_suffix('') for name in self.names)
        check_folder(folder)
        ours = {(folder / name).resolve() for name in FOLDERS}
        inside = [path for path in inputs if ours & set(Path(path).resolve().parents)]
        if inside:
            raise UserError(f'{inside[0]} lies where an earlier call has written; name another folder with --out-dir')
        found = [name for name in (*FILES, *FOLDERS) if is_used(folder / name)]
        if found and not overwrite:
            raise UserError(
                f'{folder} holds what an earlier call has written ({", ".join(found)}); name another folder with '
                '--out-dir, or replace it with --overwrite'
            )

    def file(self, name: str) -> Path:
        """The path of a file of :data:`FILES`, which this call writes."""
        path = self.folder / name
        self.taken.add(path)
        return path

    def place(self, kind: str, source: str, ending: str | None = None) -> Path:
        """A path that nothing else of this call is written to.

        Args:
            kind: Of :data:`FOLDERS`.
            source: The input.
            ending: What to put in the place of the input's own; None to keep it.
        """
        name = self.name_of(source)
        wanted = name if ending is None else name.with_suffix(ending)
        if ending not in (None, name.suffix) and self.stems[name.with_suffix('')] > 1:
            # Of a.jpg and a.bmp the second becomes a.bmp.png.
            wanted = name.with_name(f'{name.name}{ending}')
        free, number = wanted, 1
        while self.folder / kind / free in self.taken or (free != name and free in self.names):
            number += 1
            free = wanted.with_name(f'{number}_{wanted.name}')
        self.taken.add(self.folder / kind / free)
        return self.folder / kind / free

    def name_of(self, source: str) -> Path:
        """What an input is called below the folders of :data:`FOLDERS`."""
        path = from_root(source)
        # Cameras lie in no folder.
        is_below = self.common is not None and path.is_relative_to(self.common)
        return path.relative_to(self.common) if is_below else Path(path.name)

    def write_picture(self, source: str, picture: np.ndarray) -> Path:
        """Write a picture (height, width, 3), blue, green, red, in which predictions are drawn."""
        ending = None if source.lower().endswith(KEPT_ENDINGS) else '.png'
        return write_encoded(self.place(DRAWN, source, ending), picture)

    def write_label_map(self, source: str, label_map: np.ndarray) -> Path:
        """Write numbers of classes (height, width) as a grey PNG file, of 16 bits where they need it."""
        deep = label_map.max(initial=0) > np.iinfo(np.uint8).max
        return write_encoded(self.place(LABEL_MAPS, source, '.png'), label_map.astype(np.uint16 if deep else np.uint8))

    def write_json(self, name: str, content: Any) -> None:
        """Write a file of :data:`FILES`."""
        write_whole(self.file(name), json.dumps(content, ensure_ascii=False, indent=1).encode())

    def left_over(self) -> list[Path]:
        """Files of an earlier call that are there still, since this one has written nothing by their names."""
        below = [path for folder in FOLDERS for path in (self.folder / folder).rglob('*')]
        files = [path for path in (*(self.folder / name for name in FILES), *below) if path.is_file()]
        return sorted(set(files) - self.taken)


class JsonList:
    """A JSON file that holds a list, written entry by entry: what many images give need not fit in memory.

    It is there under its name, and whole, after the ``with`` block, also after one that an error has ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = path.with_name(f'{path.name}{UNFINISHED}')
        self.begun = False

    def __enter__(self) -> 'JsonList':
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.unfinished.open('w', encoding='utf-8')
        self.file.write('[')
        return self

    def add(self, entry: dict[str, Any]) -> None:
        self.file.write(f'{"," if self.begun else ""}\n{as_json(entry)}')
        self.begun = True

    def __exit__(self, *_: object) -> None:
        self.file.write('\n]\n')
        self.file.close()
        self.unfinished.replace(self.path)


class JsonLines(JsonList):
    """Likewise, an entry a line, without brackets; without an entry there is no file."""

    def __enter__(self) -> 'JsonLines':
        return self

    def add(self, entry: dict[str, Any]) -> None:
        if not self.begun:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.unfinished.open('w', encoding='utf-8')
            self.begun = True
        self.file.write(f'{as_json(entry)}\n')

    def __exit__(self, *_: object) -> None:
        if self.begun:
            self.file.close()
            self.unfinished.replace(self.path)


def as_json(entry: dict[str, Any]) -> str:
    """An entry in one line; numbers that are not finite, which JSON does not have, are an error."""
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)


def common_folder(paths: Sequence[str]) -> Path:
    """The folder that all files lie in or below."""
    return Path(os.path.commonpath([from_root(path).parent for path in paths]))


def check_folder(folder: Path) -> None:
    """Refuse a folder for ``--out-dir`` in which nothing can be written, before anything is computed.

    The folder need not be there, and is not made.

    Raises:
        UserError: It cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f'--out-dir {folder} is a file; name a folder')
    check_writable(folder, f'--out-dir {folder}')


def check_writable(folder: Path, name: str) -> None:
    """Refuse a folder in which nothing can be written; see :func:`check_folder`.

    Args:
        folder: The folder.
        name: What to call it in the message.

    Raises:
        UserError: It cannot be written to, or not be made.
    """
    existing = next(path for path in (folder, *from_root(folder).parents) if path.exists())
    refusal = refusal_of(existing)
    if refusal is not None:
        raise UserError(f'{name} cannot be written ({existing}: {refusal.strerror}); name another place')


def is_used(path: Path) -> bool:
    """Whether there is a file, or a folder with something in it."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def write_encoded(path: Path, picture: np.ndarray) -> Path:
    """Write a picture in the format that its name says."""
    # OpenCV's own writing says nothing of a full disk.
    try:
        done, content = cv2.imencode(path.suffix, picture)
    except cv2.error:
        done = False
    if not done:
        height, width = picture.shape[:2]
        raise UserError(f'OpenCV cannot write {width} x {height} pixels as {path}')
    write_whole(path, content.tobytes())
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there wholly or not at all; a link in its place is replaced, not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}{UNFINISHED}')
    unfinished.write_bytes(content)
    unfinished.replace(path)
