"""The server answers its own page on this machine, any model, and every wrong request in one sentence."""

import base64
import http.client
import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmgcvit.web.model import LEAST_SCORE, LONGEST_SIDE, MOST_BYTES, MOST_PIXELS, ServedModel, picture_of
from mmgcvit.web.server import PageServer, page_files

from ..datasets.checks.made import png_header
from ..inference.conftest import picture_of as spots
from ..memory import grown_by
from .conftest import TASKS, running


@pytest.fixture
def server(servers):
    return servers['classification']


def ask(server, method='POST', path='/predict', body=None, **headers):
    """Status, headers and content of an answer."""
    connection = http.client.HTTPConnection('127.0.0.1', server.server_port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace('_', '-'): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def refusal(*arguments, **options):
    """Status and sentence of a request that is refused; it is one sentence of plain text."""
    status, headers, content = ask(*arguments, **options)
    assert status >= 400
    assert headers['Content-Type'] == 'text/plain; charset=utf-8'
    sentence = content.decode()
    assert '\n' not in sentence
    assert 'Traceback' not in sentence
    return status, sentence


def file_of(picture):
    return cv2.imencode('.png', picture)[1].tobytes()


def pixels_of(png):
    """The numbers in a PNG of an answer."""
    blue, green, red = cv2.split(cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR))
    assert not blue.any()
    return red.astype(int) + 256 * green.astype(int)


def test_the_page_is_served_with_all_its_files_on_this_machine_only(server):
    assert server.server_address[0] == '127.0.0.1'
    status, _, content = ask(server, 'GET', '/')
    assert (status, content) == (200, page_files()['index.html'].read_bytes())
    for name, path in page_files().items():
        status, headers, content = ask(server, 'GET', f'/{name}')
        assert (status, content) == (200, path.read_bytes())
        assert headers['X-Content-Type-Options'] == 'nosniff'
        assert headers['Access-Control-Allow-Origin'] is None


def test_the_catalogue_names_the_model_and_its_classes(servers, models):
    for task, server in servers.items():
        catalogue = json.loads(ask(server, 'GET', '/models.json')[2])
        (entry,) = catalogue['models']
        assert catalogue['mode'] == 'server'
        assert (entry['task'], entry['title'], entry['classes']) == (task, 'my_config', models[task].classes)
        assert len(entry['palette']) == len(entry['classes'])


@pytest.mark.parametrize('task', TASKS)
def test_an_answer_is_what_the_model_predicts_with_the_attention_that_its_backbone_pays(servers, models, task, picture):
    status, _, content = ask(servers[task], body=file_of(picture))
    assert status == 200
    answer, expected = json.loads(content), models[task](picture)
    assert answer['size'] == {'width': picture.shape[1], 'height': picture.shape[0]}
    # Scores and boxes pass through JSON as decimal numbers, which are exact; both runs are of the same model.
    if task == 'classification':
        np.testing.assert_allclose(answer['scores'], expected.scores, atol=1e-5)
    elif task == 'segmentation':
        assert (pixels_of(answer['labelMap']['png']) == expected.label_map).all()
    else:
        found = answer['objects']
        assert len(found) == len(expected) > 0
        np.testing.assert_allclose([each['box'] for each in found], expected.boxes, atol=1e-2)
        for each, mask in zip(found, expected.masks, strict=True):
            pasted = np.zeros(mask.shape, bool)
            if each['mask'] is not None:
                part = pixels_of(each['mask']['png'])
                left, top = each['mask']['left'], each['mask']['top']
                pasted[top : top + part.shape[0], left : left + part.shape[1]] = part == 1
            assert (pasted == mask).all()
    shown = answer['attention']
    assert len(shown['values']) == shown['rows'] * shown['columns'] > 1
    assert min(shown['values']) >= 0
    assert shown['box'][:2] == [0, 0]
    assert 'GCViT, stage' in shown['title']


def test_a_detector_answers_with_objects_down_to_the_sliders_least_score(models):
    threshold = models['detection'].score_thr
    try:
        models['detection'].score_thr = 0.4
        served = ServedModel(models['detection'], Path('x.py'))
        assert models['detection'].score_thr == LEAST_SCORE
        assert served.catalogue['models'][0]['score_thr'] == 0.4
    finally:
        models['detection'].score_thr = threshold


def saved(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def test_large_pictures_are_reduced_in_strips_as_they_would_be_as_a_whole():
    """Of each kind of pixels, and turned upright; smaller ones are as Pillow has them."""
    width, height, orientation = 300, 200, Image.Exif()
    orientation[0x112] = 6
    colour = Image.fromarray(spots(height, width)[..., ::-1])
    faded = colour.convert('RGBA')
    faded.putalpha(colour.convert('L'))
    white = Image.alpha_composite(Image.new('RGBA', faded.size, 'white'), faded).convert('RGB')
    paletted, dark = colour.quantize(9), colour.convert('L').convert('1')
    for expected, content in (
        (colour, saved(colour, 'PNG', exif=orientation)),
        (colour, saved(colour, 'WEBP', exif=orientation, lossless=True)),
        (white, saved(faded, 'PNG', exif=orientation)),
        (paletted.convert('RGB'), saved(paletted, 'PNG', exif=orientation)),
        (dark.convert('RGB'), saved(dark, 'PNG', exif=orientation)),
    ):
        whole = expected.transpose(Image.Transpose.ROTATE_270)
        assert (picture_of(content) == np.asarray(whole)[..., ::-1]).all()
        third = expected.reduce(3).transpose(Image.Transpose.ROTATE_270)
        assert (picture_of(content, width * height // 5) == np.asarray(third)[..., ::-1]).all()


def test_many_large_pictures_at_once_take_the_memory_of_one_and_are_answered_alike(models):
    """Of 100 megapixels, each 300 MB once decoded, and answered in the coordinates of a smaller one."""
    body = saved(Image.new('1', (LONGEST_SIDE, LONGEST_SIDE)), 'PNG')
    with running() as run:
        server = run(PageServer(0, ServedModel(models['detection'], Path('x.py'))))
        alone = ask(server, body=body)[::2]
        answers = []

        def all_at_once():
            with ThreadPoolExecutor(12) as browsers:
                answers.extend(browsers.map(lambda _: ask(server, body=body)[::2], range(12)))

        assert grown_by(all_at_once) < 600 << 20
    assert alone[0] == 200
    size = json.loads(alone[1])['size']
    assert MOST_PIXELS / 2 < size['width'] * size['height'] <= MOST_PIXELS
    assert set(answers) == {alone}


def test_as_many_connections_as_a_browser_opens_wait_to_be_taken(models):
    server = PageServer(0, ServedModel(models['classification'], Path('x.py')))
    with server, ExitStack() as connections:
        for _ in range(100):
            connections.enter_context(socket.create_connection(server.server_address, timeout=2))


def test_only_the_own_page_is_answered_by_both_of_its_names(server, picture):
    """Pages of other places ask by a name that they have let point to this machine (DNS rebinding), or as they are."""
    body, port = file_of(picture), server.server_port
    for host in ('evil.example', f'evil.example:{port}', '127.0.0.1', '127.0.0.1:1', ''):
        status, sentence = refusal(server, 'GET', '/', Host=host)
        assert (status, server.address in sentence) == (421, True), host
    for origin in ('https://evil.example', 'null', 'http://127.0.0.1:1'):
        assert refusal(server, body=body, Origin=origin)[0] == 403, origin
    for own in (f'127.0.0.1:{port}', f'localhost:{port}'):
        assert ask(server, body=body, Host=own, Origin=f'http://{own}')[0] == 200


def test_nothing_but_the_page_can_be_read_or_asked(server, picture):
    paths = ('/../setup.py', '/%2e%2e/server.py', '/server.py', '//etc/passwd', '/page/main.js', '/main.js/')
    for path in (*paths, '/..\\server.py'):
        assert refusal(server, 'GET', path)[0] == 404, path
    assert refusal(server, path='/', body=file_of(picture))[0] == 404
    assert ask(server, 'PUT', '/predict')[0] == 501


NO_PICTURES = {
    b'just words': 'no image',
    b'': 'empty',
    png_header(20_000, 20_000): f'at most {LONGEST_SIDE} pixels',
    png_header(20_000, 1): '20000 x 1 pixels',
    # All black, 7100 x 7100.
    b'RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0/\xbb\xdb\xee\x06\x07\x10\x11\xfd\x0fDD\xff\x03': 'of WebP at most 50 megapixels',
    png_header(100, 100): 'cannot be decoded',
    # A program for a printer, which Pillow would have Ghostscript run.
    b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n': 'no image',
}


def test_what_is_no_picture_is_refused(server):
    for content, words in NO_PICTURES.items():
        assert words in refusal(server, body=content)[1], words


def test_a_picture_without_a_length_or_with_a_false_one_is_refused(server):
    """Also by a number of more digits than Python's int() takes."""
    assert refusal(server, body=iter([b'abc']), Transfer_Encoding='chunked')[0] == 411
    assert refusal(server, body=b'', Content_Length='-1')[0] == 411
    for length in (str(MOST_BYTES + 1), '9' * 5_000, '0' * 5_000 + str(MOST_BYTES + 1)):
        status, sentence = refusal(server, body=b'', Content_Length=length)
        assert (status, f'at most {MOST_BYTES >> 20} MiB' in sentence) == (413, True)


def test_the_server_goes_on_after_a_failure(server, models, picture, monkeypatch):
    monkeypatch.setattr(type(models['classification']), '__call__', lambda *_: 1 / 0)
    status, sentence = refusal(server, body=file_of(picture))
    assert (status, 'ZeroDivisionError' in sentence) == (500, True)
    monkeypatch.undo()
    assert ask(server, body=file_of(picture))[0] == 200
