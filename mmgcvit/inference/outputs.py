"""The folder that takes what is predicted: pictures, videos, label maps and JSON; nothing is overwritten unasked."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import UserError
from ..files import check_writable, from_root, write_image, write_text, written_whole

# Pictures and videos with predictions drawn in; label maps; what is predicted for each frame of videos.
DRAWN, LABEL_MAPS, FRAMES = FOLDERS = ('vis', 'labels', 'preds')
PREDICTIONS, IMAGES = FILES = ('predictions.json', 'images.json')
# Pictures of these keep their names; of others they become PNG.
KEPT_ENDINGS = ('.jpg', '.jpeg', '.png')
# What OpenCV's wheels can write by themselves.
CODEC = 'mp4v'
# Bytes without which no video can be begun.
LEAST_ROOM = 1024


class Outputs:
    """Where things go, below a folder that is made when the first thing is written.

    What is written keeps the names of the inputs; where two have the same one, all keep their paths below their common
    folder. Where the format changes, the ending does; where inputs differ in their endings alone, the old one stays
    before it. Files of an earlier call are replaced only where they may be, and inputs that lie among them never.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], overwrite: bool = False) -> None:
        check_out_dir(folder, (*FILES, *FOLDERS), overwrite)
        ours = {(folder / name).resolve() for name in FOLDERS}
        inside = [path for path in inputs if ours & set(Path(path).resolve().parents)]
        if inside:
            raise UserError(f'{inside[0]} lies where an earlier call has written; name another folder with --out-dir')
        self.folder = folder
        self.names = {path: Path(Path(path).name) for path in inputs}
        if len(set(self.names.values())) < len(inputs):
            common = os.path.commonpath([from_root(path).parent for path in inputs])
            self.names = {path: from_root(path).relative_to(common) for path in inputs}
        self.stems = Counter(name.with_suffix('') for name in self.names.values())
        self.taken: set[Path] = set()

    def file(self, name: str) -> Path:
        """The path of a file of :data:`FILES`, which this call writes."""
        self.taken.add(self.folder / name)
        return self.folder / name

    def place(self, kind: str, source: str, ending: str | None = None) -> Path:
        """A path in one of :data:`FOLDERS` that nothing else of this call is written to, after an input or camera."""
        name = self.names.get(source, Path(source))
        wanted = name
        if ending not in (None, name.suffix):
            is_alone = self.stems[name.with_suffix('')] <= 1
            wanted = name.with_suffix(ending) if is_alone else name.with_name(f'{name.name}{ending}')
        path, number = self.folder / kind / wanted, 1
        # Of a.jpg, a.bmp and a.bmp.png two want to be a.bmp.png.
        while path in self.taken:
            number += 1
            path = path.with_name(f'{number}_{wanted.name}')
        self.taken.add(path)
        return path

    def write_picture(self, source: str, picture: np.ndarray) -> Path:
        """Write a picture (height, width, 3), blue, green, red, in which predictions are drawn."""
        ending = None if source.lower().endswith(KEPT_ENDINGS) else '.png'
        return write_image(self.place(DRAWN, source, ending), picture)

    def write_label_map(self, source: str, label_map: np.ndarray) -> Path:
        """Write numbers of classes (height, width) as a grey PNG file, of 16 bits where they need it."""
        deep = label_map.max(initial=0) > np.iinfo(np.uint8).max
        return write_image(self.place(LABEL_MAPS, source, '.png'), label_map.astype(np.uint16 if deep else np.uint8))

    def left_over(self) -> list[Path]:
        """Files of an earlier call that are there still, since this one has written nothing by their names."""
        below = [path for folder in FOLDERS for path in (self.folder / folder).rglob('*')]
        files = [path for path in (*(self.folder / name for name in FILES), *below) if path.is_file()]
        return sorted(set(files) - self.taken)


def check_out_dir(folder: Path, names: Sequence[str], overwrite: bool) -> None:
    """Refuse a folder for ``--out-dir`` that cannot be written, or has files or filled folders of these names."""
    check_writable(folder, f'--out-dir {folder}')
    paths = [folder / name for name in names]
    found = [path.name for path in paths if (any(path.iterdir()) if path.is_dir() else path.exists())]
    if found and not overwrite:
        raise UserError(
            f'{folder} holds what an earlier call has written ({", ".join(found)}); name another folder with '
            '--out-dir, or replace it with --overwrite'
        )


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1))


@contextmanager
def json_entries(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What adds an entry to a file, a list or lines of a .jsonl: what many images give need not fit in memory.

    The file is there under its name, and whole, after the block, also after one that an error has ended. Numbers that
    are not finite, which JSON does not have, are an error.
    """
    is_list, comma, ended = path.suffix == '.json', '', None
    with written_whole(path) as unfinished, unfinished.open('w', encoding='utf-8') as file:

        def add(entry: dict[str, Any]) -> None:
            nonlocal comma
            line = json.dumps(entry, ensure_ascii=False, allow_nan=False)
            file.write(f'{comma}\n{line}' if is_list else f'{line}\n')
            comma = ','

        file.write('[' if is_list else '')
        try:
            yield add
        except BaseException as error:
            ended = error
        file.write('\n]\n' if is_list else '')
    if ended is not None:
        raise ended


@contextmanager
def video_written(path: Path, per_second: float) -> Iterator[Callable[[np.ndarray], None]]:
    """What adds a frame (height, width, 3), blue, green, red, to a video in the first frame's size; else likewise."""
    writer, size, number, ended = cv2.VideoWriter(), None, 0, None
    with written_whole(path, flush=False) as unfinished:
        # OpenCV tells the format by the ending.
        video = unfinished.with_name(f'{unfinished.name}{path.suffix}')

        def add(frame: np.ndarray) -> None:
            nonlocal size, number
            if size is None:
                size = frame.shape[1::-1]
                if not writer.open(str(video), cv2.VideoWriter_fourcc(*CODEC), per_second, size):
                    raise UserError(f'{path}: this OpenCV writes no videos ({CODEC}); leave them out: --no-save-vis')
            writer.write(frame if frame.shape[1::-1] == size else cv2.resize(frame, size))
            number += 1

        try:
            # OpenCV says nothing of a full disk.
            video.write_bytes(bytes(LEAST_ROOM))
            try:
                yield add
            except BaseException as error:
                ended = error
            writer.release()
            if not number or frames_in(video) != number:
                raise ended or UserError(f'{path}: the video could not be written whole; is there room on the disk?')
            video.replace(unfinished)
        finally:
            video.unlink(missing_ok=True)
    if ended is not None:
        raise ended


def frames_in(video: Path) -> int:
    """How many frames a video has by its header, which is written last; 0 where it has none."""
    return int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT))
