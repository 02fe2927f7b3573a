"""A headless Chromium, and the page in it as a person sees it."""

import os
import shutil
import time
from importlib.util import find_spec

import pytest

# In continuous integration: a browser that is missing is a failure there, and a reason to skip elsewhere.
NEEDED = 'MMGCVIT_TESTS_NEED_BROWSER'
PROGRAMS = {'chromium': ('chromium', 'chromium-browser', 'google-chrome'), 'chromedriver': ('chromedriver',)}
DESKTOP, PHONE, NARROW_PHONE = (1280, 800), (390, 844), (360, 740)
SIZES = {'desktop': DESKTOP, 'phone': PHONE, 'narrow phone': NARROW_PHONE}
OPTIONS = (
    *('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'),
    *('--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'),
)
SECONDS = 60


def started(profile):
    """A driver of selenium's for a browser with a fresh profile; skips the test where there is none."""
    found = {name: next(filter(None, map(shutil.which, names)), None) for name, names in PROGRAMS.items()}
    missing = [name for name, path in found.items() if path is None]
    missing += ['selenium'] if find_spec('selenium') is None else []
    if missing:
        answer = pytest.fail if os.environ.get(NEEDED) else pytest.skip
        answer(f'{" and ".join(missing)} not installed')
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = found['chromium']
    for option in (*OPTIONS, f'--user-data-dir={profile}'):
        options.add_argument(option)
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(found['chromedriver']))


class Page:
    """The page at an address, in a browser of selenium's."""

    def __init__(self, driver, address):
        self.driver = driver
        self.address = address

    def open(self, size=DESKTOP, scheme='light'):
        """Load it anew in a window of that size in pixels, and a light or dark scheme of colours."""
        width, height = size
        metrics = {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': size != DESKTOP}
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
        feature = {'name': 'prefers-color-scheme', 'value': scheme}
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [feature]})
        self.driver.get_log('browser')
        self.driver.get(self.address)
        self.width = width
        return self

    def fits(self):
        """Nothing is wider than the window; a phone's would be zoomed out, and its innerWidth grow."""
        return self.driver.execute_script('return document.documentElement.scrollWidth') <= self.width

    def find(self, selector):
        return self.driver.find_element('css selector', selector)

    def all(self, selector):
        return self.driver.find_elements('css selector', selector)

    @property
    def status(self):
        return self.find('#status').text

    @property
    def is_fault(self):
        return bool(self.all('#status.fault'))

    @property
    def summary(self):
        return self.find('#summary').text

    def wait_until(self, is_so, otherwise='it does not come'):
        end = time.monotonic() + SECONDS
        while not is_so():
            assert time.monotonic() < end, f'{otherwise}; the status is {self.status!r}'
            time.sleep(0.05)

    def wait(self, words):
        """Until the status holds the words, and nothing is refused."""
        self.wait_until(lambda: words in self.status or self.is_fault, f'{words!r} does not come')
        assert words in self.status

    def forget_status(self):
        """What the status says next comes of what is done next."""
        code = "const it = document.getElementById('status'); it.textContent = ''; it.classList.remove('fault')"
        self.driver.execute_script(code)

    def wait_for_fault(self):
        """Until something is refused; gives the sentence."""
        self.wait_until(lambda: self.is_fault, 'nothing is refused')
        return self.status

    def choose(self, path):
        self.forget_status()
        self.find('#file').send_keys(str(path))

    def take_sample(self, number):
        """Take one, and wait for what is found in it."""
        self.forget_status()
        self.all('#samples button')[number].click()
        self.wait('found in')

    def click_model(self, name):
        self.forget_status()
        self.find(f'#models input[value={name}]').click()

    def choose_model(self, name):
        """And wait until it is loaded, and has answered where there is a picture."""
        self.click_model(name)
        self.wait('Ready.' if self.find('#empty').is_displayed() else 'found in')

    def texts(self, selector):
        """Of all elements, at one moment: the page replaces them."""
        code = 'return Array.from(document.querySelectorAll(arguments[0]), (each) => each.textContent)'
        return self.driver.execute_script(code, selector)

    def classes(self):
        """The scores of a classifier, by the names of classes, in percent."""
        cells = self.texts('.bars .name, .bars .share')
        return {name: float(share.removesuffix(' %')) for name, share in zip(cells[::2], cells[1::2], strict=True)}

    def objects(self):
        """Class, score and box of a detector's objects."""
        cells = self.texts('#results tbody td')
        rows = zip(cells[::3], cells[1::3], cells[2::3], strict=True)
        return [(name, float(score), [int(at) for at in box.split(', ')]) for name, score, box in rows]

    def call(self, code, *arguments):
        """What the body of an asynchronous function returns; ``load('name.js')`` in it gives a module of the page."""
        script = f"""
            const done = arguments[arguments.length - 1];
            const load = (name) => import(new URL(name, document.baseURI));
            (async (...given) => {{ {code} }})(...Array.from(arguments).slice(0, -1))
                .then((value) => done({{ value }}), (error) => done({{ error: String(error) }}));
        """
        answer = self.driver.execute_async_script(script, *arguments)
        assert 'error' not in answer, answer['error']
        return answer['value']

    def complaints(self):
        """What the browser's console holds since the page was opened."""
        return [entry['message'] for entry in self.driver.get_log('browser')]
