"""Pages, models and a browser, each once a session."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmgcvit.web.model import ServedModel
from mmgcvit.web.server import PageServer

from ..inference.conftest import models, photo, picture  # noqa: F401  (fixtures)
from .chromium import SECONDS, Page, started

TASKS = ('detection', 'segmentation', 'classification')


@contextmanager
def running():
    """Gives what starts a server in a thread; all are closed after the block."""
    servers = []

    def run(server):
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope='session')
def servers(models):  # noqa: F811
    """Servers of a model of each task, with the page."""
    with running() as run:
        yield {task: run(PageServer(0, ServedModel(models[task], Path('my_config.py')))) for task in TASKS}


class Quiet(SimpleHTTPRequestHandler):
    """A plain web server, as `python -m http.server` is one."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope='session')
def site(tmp_path_factory):
    """The folder of the static page, as `make web` builds it."""
    from mmgcvit.web.building import build_page

    folder = tmp_path_factory.mktemp('web') / 'site'
    list(build_page(folder))
    return folder


@pytest.fixture(scope='session')
def served():
    """Serves folders; gives the address of one."""
    with running() as run:

        def serve(folder):
            server = run(ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder))))
            return f'http://127.0.0.1:{server.server_port}/'

        yield serve


@pytest.fixture(scope='session')
def driver(tmp_path_factory):
    """A browser."""
    driver = started(tmp_path_factory.mktemp('profile'))
    driver.set_script_timeout(SECONDS)
    yield driver
    driver.quit()


@pytest.fixture(scope='session')
def page(driver, site, served):
    """The static page; a test opens it."""
    return Page(driver, served(site))
