"""The page of docs/extensions/page.py shows the predictions of a model."""

import pytest

import mmgcvit

from ..conftest import ROOT

pytest.importorskip('gradio')
DEMO = ROOT / 'configs' / 'demo'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'arguments', 'size'),
    [('mask_rcnn_gcvit_digits', [0.3], 5), ('upernet_gcvit_digits', [], 6), ('gcvit_digits_cls', [], 10)],
)
def test_page_draws_a_picture_and_summarises_it(name, arguments, size, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'docs' / 'extensions')
    import page

    model = mmgcvit.load(DEMO / f'{name}.py')
    picture, summary = page.build_page(model).fn(str(ROOT / 'docs' / 'images' / 'digits.jpg'), *arguments)
    assert picture.shape[2] == 3
    assert len(summary) == size
