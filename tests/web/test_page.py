"""``mmgcvit web`` in a headless Chromium: predictions are shown, and nothing leaves this machine."""

import json
import os
import shutil
import socket
import sys
import time
import urllib.request

import cv2
import httpx
import numpy as np
import pytest

import mmgcvit
from mmgcvit.commands.main import run_command

from ..conftest import ROOT

gradio = pytest.importorskip('gradio')
webdriver = pytest.importorskip('selenium.webdriver')
from mmgcvit.web import build_page, serve_page, summarise  # noqa: E402

DIGITS = ROOT / 'docs' / 'images' / 'digits.jpg'
DEMO = ROOT / 'configs' / 'demo'
SECONDS = 60
CELLS, DRAWING = '[data-testid^=cell-]', 'img[src$="image.png"]'
pytestmark = pytest.mark.slow


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope='module')
def detector():
    return mmgcvit.load(DEMO / 'mask_rcnn_gcvit_digits.py', device='cpu')


@pytest.fixture(scope='module')
def find_contacted_hosts():
    """The hosts that this process connects to or looks up from now on."""
    hosts, is_listening = set(), True

    def listen(event, args):
        if is_listening and event in ('socket.connect', 'socket.getaddrinfo'):
            address = args[1] if event == 'socket.connect' else args
            hosts.add(address if isinstance(address, (str, bytes)) else address[0])

    sys.addaudithook(listen)  # cannot be taken away again
    yield hosts
    is_listening = False


@pytest.fixture(scope='module')
def address(detector, find_contacted_hosts):
    page = build_page(detector)
    yield serve_page(page, free_port())
    page.close()


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    """Chromium, driven by selenium."""
    programs = {name: shutil.which(name) for name in ('chromium', 'chromedriver')}
    if None in programs.values():
        # In continuous integration a missing browser is a failure.
        (pytest.fail if os.environ.get('MMGCVIT_TESTS_NEED_BROWSER') else pytest.skip)('needs chromium, chromedriver')
    options = webdriver.ChromeOptions()
    options.binary_location, profile = programs['chromium'], tmp_path_factory.mktemp('profile')
    for option in ('--headless=new', '--no-sandbox', '--disable-background-networking', f'--user-data-dir={profile}'):
        options.add_argument(option)
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs['chromedriver']))
    yield driver
    driver.quit()


def wait_for(browser, selector, is_reached=bool):
    """The texts of the elements of a CSS selector, once they are as wanted."""
    end = time.monotonic() + SECONDS
    code = 'return Array.from(document.querySelectorAll(arguments[0]), (each) => each.innerText.trim())'
    while not is_reached(texts := browser.execute_script(code, selector)):
        assert time.monotonic() < end, f'{selector}: {texts}'
        time.sleep(0.1)
    return texts


def upload(browser, address, path):
    browser.get(address)
    wait_for(browser, 'input[type=file]')
    browser.find_element('css selector', 'input[type=file]').send_keys(str(path))


def test_an_uploaded_image_shows_its_objects_and_stays_on_this_machine(
    browser, address, detector, find_contacted_hosts
):
    """The slider hides objects of lower scores."""
    upload(browser, address, DIGITS)
    found = detector(DIGITS)
    shown = found.select(np.flatnonzero(found.scores >= 0.3))
    cells = wait_for(browser, CELLS, lambda texts: len(texts) > 3)
    assert cells[::3] == shown.class_names == list('57058')
    wait_for(browser, DRAWING)
    with urllib.request.urlopen(browser.find_element('css selector', DRAWING).get_attribute('src')) as answer:
        drawing = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(drawing, detector.draw(DIGITS, shown))
    browser.find_element('css selector', 'input[type=number]').send_keys(
        webdriver.Keys.CONTROL, 'a', webdriver.Keys.NULL, '0.97', webdriver.Keys.TAB
    )
    wait_for(browser, CELLS, lambda texts: texts[::3] == list('5705'))
    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    sent = [each['params']['request']['url'] for each in messages if each['method'] == 'Network.requestWillBeSent']
    assert [url for url in sent if url.startswith(('http', 'ws')) and not url.startswith(address)] == []
    assert find_contacted_hosts <= {'127.0.0.1', 'localhost', '::1'}


def test_an_unreadable_image_gets_a_clear_error(browser, address, tmp_path):
    (tmp_path / 'damaged.jpg').write_bytes(DIGITS.read_bytes()[:1000])
    upload(browser, address, tmp_path / 'damaged.jpg')
    wait_for(browser, 'body', lambda texts: 'damaged.jpg cannot be read' in texts[0])


@pytest.mark.parametrize(
    ('headers', 'size', 'status'),
    [
        ({}, 9, 200),
        ({'Origin': 'OWN'}, 9, 200),
        ({'Host': 'example.com'}, 9, 400),
        ({'Origin': 'http://example.com'}, 9, 403),
        ({'Origin': 'http://127.0.0.1:1'}, 9, 403),
        ({'Origin': 'null'}, 9, 403),
        ({}, 105_000_000, 413),
    ],
)
def test_only_the_page_itself_can_upload_and_only_files_of_limited_size(address, headers, size, status):
    own = {name: address.rstrip('/') if value == 'OWN' else value for name, value in headers.items()}
    answer = httpx.post(f'{address}gradio_api/upload', files={'files': ('a.png', bytes(size))}, headers=own)
    assert answer.status_code == status


def test_a_request_that_holds_a_file_as_text_is_limited_too(address):
    path = f'{address}gradio_api/queue/join'
    assert httpx.post(path, content=bytes(107_000_000)).status_code == 413
    assert httpx.post(path, content=iter([b'{}'])).status_code == 413, 'without a length'


@pytest.mark.parametrize(('name', 'expected'), [('gcvit_digits_cls', '9'), ('upernet_lsa_digits', 'background')])
def test_segmentation_and_classification_show_scores_by_class(name, expected):
    model = mmgcvit.load(DEMO / f'{name}.py', device='cpu')
    summary = summarise(model(DIGITS), model.classes)
    assert max(summary, key=summary.get) == expected
    assert sum(summary.values()) == pytest.approx(1)
    build_page(model)


def test_the_command_serves_until_interrupted_and_rejects_a_port_in_use(capsys, monkeypatch):
    monkeypatch.setattr('gradio.Blocks.block_thread', gradio.Blocks.close)
    call, port = [DEMO / 'gcvit_digits_cls.py', '--device', 'cpu', '--port'], free_port()
    run_command('web', [*call, port])
    assert f'Open http://127.0.0.1:{port}/ in a browser' in capsys.readouterr().out
    with socket.create_server(('127.0.0.1', port)), pytest.raises(SystemExit, match=f'port {port} is in use'):
        run_command('web', [*call, port])
