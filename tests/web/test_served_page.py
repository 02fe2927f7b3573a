"""The served page in a real browser: a model of each task answers, and what goes wrong is said."""

import threading
from pathlib import Path

import pytest

from mmgcvit.web.model import ServedModel
from mmgcvit.web.server import PageServer

from .chromium import SIZES, Page

pytestmark = pytest.mark.slow

TASKS = ('detection', 'segmentation', 'classification')


@pytest.fixture
def serve():
    """Serves a model; gives the server, which is ended afterwards."""
    servers = []

    def serve(model):
        servers.append(PageServer(0, ServedModel(model, Path('my_model.py'))))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize('size', SIZES.values(), ids=SIZES)
@pytest.mark.parametrize('task', TASKS)
def test_a_picture_is_answered_by_the_model(driver, models, serve, task, size, photo):
    page = Page(driver, serve(models[task]).address).open(size)
    page.wait('Ready.')
    assert 'pictures are sent there and not kept' in page.find('#privacy').text
    page.choose(photo)
    page.wait('found in')
    expected = models[task](photo)
    if task == 'classification':
        assert page.summary.startswith(expected.class_name)
    elif task == 'segmentation':
        assert page.texts('#results tbody td:first-child') == expected.class_names
    else:
        threshold = float(page.find('#threshold').get_attribute('value'))
        assert len(page.objects()) == (expected.scores >= threshold).sum()
    page.find('#attention').click()
    assert 'GCViT, stage' in page.find('#attention-title').text
    assert page.fits()
    assert page.complaints() == []


def test_a_drawing_is_answered_and_a_file_that_is_no_picture_refused(driver, models, serve, tmp_path):
    page = Page(driver, serve(models['classification']).address).open()
    page.wait('Ready.')
    page.find('#draw').click()
    page.wait('Draw a digit.')
    page.forget_status()
    page.find('#stage').click()
    page.wait('found in')
    (tmp_path / 'words.png').write_text('words')
    page.choose(tmp_path / 'words.png')
    assert page.wait_for_fault().startswith('words.png is no image')
