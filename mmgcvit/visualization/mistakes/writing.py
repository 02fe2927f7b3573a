"""The folder that takes pictures, matrix and table; nothing in it is overwritten without being asked."""

import json
from pathlib import Path

from ...inference import UserError
from ...inference.outputs import check_folder, is_used, write_encoded, write_whole
from .confusion import Confusion
from .finding import Found
from .judging import SCORES
from .matrix_picture import drawn_confusion
from .pictures import picture_of
from .truths import Truths

MATRIX, MATRIX_PICTURE, TABLE, PICTURES = 'confusion.json', 'confusion.png', 'worst.json', 'worst'
PAIRS_WRITTEN = 100


class Folder:
    """A folder for the mistakes of one model.

    Args:
        path: The folder; see :meth:`make`.
        overwrite: Whether what an earlier call has written may be replaced.

    Raises:
        UserError: There is something, and it may not; or it is none of this command's; or the folder cannot be written
            to.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        check_folder(path)
        found = [name for name in (MATRIX, MATRIX_PICTURE, TABLE, PICTURES) if is_used(path / name)]
        if found and not overwrite:
            raise UserError(
                f'{path} holds what an earlier call has written ({", ".join(found)}); name another folder with '
                '--out-dir, or replace it with --overwrite'
            )
        self.path = path
        self.earlier_pictures = self.pictures_of_table()

    def pictures_of_table(self) -> list[Path]:
        """The pictures that an earlier call's table names, inside of this folder.

        Raises:
            UserError: The table is none of this command's.
        """
        table = self.path / TABLE
        if not table.is_file():
            return []
        try:
            entries = json.loads(table.read_text())['images']
            return [self.path / PICTURES / Path(entry['drawn']).name for entry in entries]
        except (ValueError, KeyError, TypeError):
            raise UserError(f'{table} is no table of this command; name another folder, or remove it') from None

    def make(self) -> None:
        """Make the folder."""
        self.path.mkdir(parents=True, exist_ok=True)

    def forget_pictures(self) -> None:
        """Take away the pictures that an earlier call's table names: beside new ones they would be taken for these."""
        for path in self.earlier_pictures:
            path.unlink(missing_ok=True)


def write_confusion(confusion: Confusion, folder: Folder) -> None:
    """Write the matrix as JSON, a row a line, and as a picture."""
    pairs = [
        {
            'truth': confusion.names[pair.truth],
            'predicted': confusion.names[pair.predicted],
            'count': pair.count,
            'share': round(pair.share, 6),
        }
        for pair in confusion.most_confused(PAIRS_WRITTEN)
    ]
    head = {'counted': confusion.counted, 'rows': 'truth', 'columns': 'predicted', 'classes': confusion.names}
    lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in head.items()]
    for key, rows in (('most_confused', pairs), ('matrix', confusion.counts.tolist())):
        inner = ',\n'.join(json.dumps(row, ensure_ascii=False) for row in rows)
        lines.append(f'"{key}": [\n{inner}\n]')
    write_whole(folder.path / MATRIX, ('{\n' + ',\n'.join(lines) + '\n}\n').encode())
    write_whole(folder.path / MATRIX_PICTURE, drawn_confusion(confusion))


def write_worst(found: Found, truths: Truths, folder: Folder) -> None:
    """Write the worst images, the truth beside the prediction, and a table of them."""
    folder.forget_pictures()
    entries = []
    for rank, judged in enumerate(found.worst, start=1):
        path = truths.info(judged.number)['img_path']
        drawn = Path(PICTURES) / f'{rank:03d}_{Path(path).stem}.png'
        write_encoded(folder.path / drawn, picture_of(judged, truths))
        verdict = judged.verdict
        entries.append(
            {
                'rank': rank,
                'file_name': path,
                'score': round(verdict.score, 6),
                'mistakes': verdict.mistakes,
                'why': verdict.why,
                'drawn': str(drawn),
            }
        )
    table = {'score': SCORES[truths.model.task], 'images': entries}
    write_whole(folder.path / TABLE, json.dumps(table, ensure_ascii=False, indent=1).encode())
