"""The program of docs/visualization.md runs, on a small model in a work dir of the same name."""

import cv2

from ..docs.pages import read_blocks
from ..inference.conftest import picture_of
from .conftest import classifier_of


def test_the_program_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classifier_of(tmp_path / 'work_dirs' / 'my_classifier', pipeline=[])
    cv2.imwrite('photo.jpg', picture_of(128, 160))
    (program,) = read_blocks('docs/visualization.md', 'python')
    exec(compile(program, 'docs', 'exec'), {})
    assert (tmp_path / 'attention.png').stat().st_size > 10_000
