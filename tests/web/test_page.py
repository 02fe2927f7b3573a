"""The page in a real browser, static and served: it shows what this package finds, and says what goes wrong.

Its networks run in the browser, or behind the server a model of each task.
"""

import json
import shutil
from itertools import pairwise

import cv2
import numpy as np
import pytest

import mmgcvit
from mmgcvit.web.building import SHOWN_FROM, digits_models

from ..datasets.checks.made import png_header
from .chromium import SIZES, Page
from .conftest import TASKS

# Continuous integration, which needs a browser, fails without it in test_page_modules.py.
webdriver = pytest.importorskip('selenium.webdriver', reason='selenium not installed')
ActionChains, Keys = webdriver.ActionChains, webdriver.Keys
pytestmark = pytest.mark.long

DETECTOR, CLASSIFIER = 'mask_rcnn_gcvit_digits', 'gcvit_digits_cls'
CLASSIFIERS = (CLASSIFIER, 'lsa_digits_cls')
PIXELS = "return document.getElementById('stage').toDataURL()"
# A seven, as shares of the drawing's sides.
SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.82)]


@pytest.fixture(scope='module')
def loaded():
    """The same models in Python."""
    configs = [model.config for model in digits_models()]
    options = {DETECTOR: {'score_thr': SHOWN_FROM}}
    return {path.stem: mmgcvit.load(path, device='cpu', **options.get(path.stem, {})) for path in configs}


def samples(site, words):
    """The sample pictures whose titles hold the words: number, title, file."""
    catalogue = json.loads((site / 'models.json').read_text())
    return [
        (number, sample['title'], site / sample['file'])
        for number, sample in enumerate(catalogue['samples'])
        if words in sample['title']
    ]


def draw(page, points):
    """A line by the mouse."""
    canvas = page.find('#stage')
    side = canvas.size['width']
    places = [(round((x - 0.5) * side), round((y - 0.5) * side)) for x, y in points]
    actions = ActionChains(page.driver, duration=50).move_to_element_with_offset(canvas, *places[0]).click_and_hold()
    for before, after in pairwise(places):
        actions.move_by_offset(after[0] - before[0], after[1] - before[1])
    actions.release().perform()


def test_it_finds_the_digits_of_a_sample_where_the_package_does(page, site, loaded):
    for size, (number, _, file) in zip(SIZES.values(), samples(site, 'Scene'), strict=True):
        page.open(size).wait('Ready.')
        page.take_sample(number)
        expected = loaded[DETECTOR](str(file))
        found = page.objects()
        assert [name for name, _, _ in found] == expected.class_names
        np.testing.assert_allclose([score for _, score, _ in found], expected.scores, atol=0.02)
        np.testing.assert_allclose([box for _, _, box in found], expected.boxes, atol=1.5)
        assert page.summary == f'{len(found)} objects'
        assert page.fits()
        assert page.complaints() == []


def test_it_names_a_sample_as_the_package_does(page, site, loaded):
    for size, name in zip(SIZES.values(), (*CLASSIFIERS, CLASSIFIER), strict=True):
        page.open(size).wait('Ready.')
        page.choose_model(name)
        for number, title, file in samples(site, 'The digit'):
            page.take_sample(number)
            shares = page.classes()
            expected = 100 * loaded[name](str(file)).scores
            np.testing.assert_allclose([shares[digit] for digit in '0123456789'], expected, atol=1.0)
            assert title == f'The digit {page.summary.split(",")[0]}'
        assert page.fits()
        assert page.complaints() == []


def test_masks_lie_on_the_digits(page, site, loaded):
    """What the page pastes, beside the package's masks, by the worker's own modules."""
    page.open().wait('Ready.')
    _, _, file = samples(site, 'Scene')[0]
    expected = loaded[DETECTOR](str(file)).masks
    found = page.call(
        """
        const { BrowserModel } = await load('browser_model.js');
        const { decoded } = await load('picture.js');
        const { models: [entry] } = await (await fetch('models.json')).json();
        const model = new BrowserModel(entry);
        await model.load(() => {});
        const { objects } = await model.predict(await decoded(await (await fetch(given[0])).blob(), 'sample'));
        model.close();
        return objects
          .filter(({ score }) => score >= 0.5)
          .map(({ mask }) => ({ ...mask, bits: Array.from(mask.bits) }));
        """,
        str(file.relative_to(site)),
    )
    for part, mask in zip(found, expected, strict=True):
        pasted = np.zeros(mask.shape, bool)
        bits = np.array(part['bits'], bool).reshape(part['height'], part['width'])
        pasted[part['top'] : part['top'] + part['height'], part['left'] : part['left'] + part['width']] = bits
        assert (pasted & mask).sum() / (pasted | mask).sum() > 0.97


def test_a_digit_drawn_by_the_mouse_or_by_keys_is_named(page):
    for size in SIZES.values():
        page.open(size).wait('Ready.')
        page.choose_model(CLASSIFIER)
        page.find('#draw').click()
        page.wait('Draw a digit.')
        assert page.fits()
        assert len({page.find(f'#{name}').rect['y'] for name in ('undo', 'clear')}) == 1
        draw(page, SEVEN)
        page.wait('found in')
        assert page.summary.startswith('7,')
        page.find('#undo').click()
        page.wait('Draw a digit.')
        assert page.all('.bars li') == []
    # A one: the space bar sets the pen down, arrows move it, the space bar lifts it.
    page.find('#stage').send_keys(*[Keys.ARROW_UP] * 12, Keys.SPACE, *[Keys.ARROW_DOWN] * 24, Keys.SPACE)
    page.wait('found in')
    assert page.summary.startswith('1,')


def test_every_control_is_reached_by_the_tab_key(page):
    page.open().wait('Ready.')
    page.take_sample(0)
    reached = []
    body = page.find('body')
    for _ in range(20):
        body.send_keys(Keys.TAB) if not reached else page.driver.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.driver.switch_to.active_element
        reached.append(focused.get_attribute('id') or focused.get_attribute('name') or focused.get_attribute('title'))
    assert {'model', 'choose', 'draw', 'boxes', 'masks', 'threshold'} <= set(reached)
    assert any(title.startswith('Scene') for title in reached)


def test_a_dropped_picture_is_taken(page, site):
    page.open().wait('Ready.')
    _, _, file = samples(site, 'Scene')[0]
    page.take_sample(0)
    expected = page.objects()
    page.forget_status()
    page.call(
        """
        const transfer = new DataTransfer();
        transfer.items.add(new File([await (await fetch(given[0])).blob()], 'dropped.png', { type: 'image/png' }));
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
        """,
        str(file.relative_to(site)),
    )
    page.wait('found in')
    assert 'dropped.png' in page.find('#stage').get_attribute('aria-label')
    assert page.objects() == expected


def test_the_threshold_and_the_overlays_change_what_is_shown(page):
    page.open().wait('Ready.')
    page.take_sample(0)
    shown = [page.driver.execute_script(PIXELS)]
    for name in ('masks', 'boxes', 'attention'):
        page.find(f'#{name}').click()
        shown.append(page.driver.execute_script(PIXELS))
        assert shown[-1] != shown[-2], name
    assert 'GCViT, stage' in page.find('#attention-title').text
    count = len(page.objects())
    page.find('#threshold').send_keys(Keys.HOME)
    assert len(page.objects()) >= count
    page.find('#threshold').send_keys(Keys.END)
    assert page.find('#threshold-value').text == '0.95'
    assert all(score >= 0.95 for _, score, _ in page.objects())


def test_a_picture_larger_than_the_page_keeps_has_boxes_in_its_own_pixels(page, site, tmp_path):
    _, _, file = samples(site, 'Scene')[0]
    page.open().wait('Ready.')
    page.take_sample(0)
    small = page.objects()
    cv2.imwrite(str(tmp_path / 'large.png'), cv2.resize(cv2.imread(str(file)), None, fx=10, fy=10))
    page.choose(tmp_path / 'large.png')
    page.wait('found in')
    large = page.objects()
    assert [name for name, _, _ in large] == [name for name, _, _ in small]
    np.testing.assert_allclose([box for *_, box in large], 10 * np.array([box for *_, box in small]), atol=40)


# What a file a.png holds, and what is said of it.
REFUSED = {
    b'These are words.': 'is no image: take a PNG, JPEG, WebP, GIF or BMP file.',
    b'': 'is empty: it has 0 bytes.',
    png_header(20_000, 20_000): 'has 20000 x 20000 pixels; take one of at most 10000 pixels a side.',
    png_header(20_000, 1): 'has 20000 x 1 pixels; take one of at most 10000 pixels a side.',
    png_header(100, 100): 'cannot be decoded: the file is damaged, or of a kind that this browser does not know.',
    b'\x89PNG\r\n\x1a\n': 'begins as a PNG image and is damaged: it does not say how large it is.',
    png_header(0, 10): 'begins as a PNG image and is damaged: it does not say how large it is.',
}


def test_a_file_that_is_no_picture_is_refused_in_one_sentence_and_the_page_goes_on(page, tmp_path):
    page.open().wait('Ready.')
    for content, words in REFUSED.items():
        (tmp_path / 'a.png').write_bytes(content)
        page.choose(tmp_path / 'a.png')
        assert page.wait_for_fault() == f'a.png {words}'
    page.take_sample(0)


def spoil(path):
    """One bit of a file is another one."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


BROKEN = {
    f'models/{DETECTOR}.onnx is missing': lambda site: (site / 'models' / f'{DETECTOR}.onnx').unlink(),
    f'models/{DETECTOR}.onnx is damaged': lambda site: spoil(site / 'models' / f'{DETECTOR}.onnx'),
    'models.json is missing': lambda site: (site / 'models.json').unlink(),
    'models.json is damaged': lambda site: (site / 'models.json').write_text('{"mode":'),
    'ONNX Runtime is missing or damaged': lambda site: shutil.rmtree(site / 'onnxruntime'),
}


def test_a_page_that_is_not_whole_says_so_in_one_sentence(driver, site, served, tmp_path):
    """And where a model is missing, another serves."""
    for number, (words, change) in enumerate(BROKEN.items()):
        broken = tmp_path / str(number)
        shutil.copytree(site, broken, copy_function=shutil.copy)
        change(broken)
        page = Page(driver, served(broken)).open()
        sentence = page.wait_for_fault()
        assert sentence.startswith(words)
        assert 'make web' in sentence
        if words.endswith('onnx is missing'):
            page.choose_model(CLASSIFIER)
            page.take_sample(4)


def test_a_model_may_be_changed_while_another_loads(page):
    """Neither the one that comes late nor its failure is shown."""
    page.open().wait('Ready.')
    for name in (*CLASSIFIERS[::-1], DETECTOR, CLASSIFIER):
        page.click_model(name)
    page.take_sample(4)
    assert len(page.all('.bars li')) == 10
    assert page.complaints() == []


def test_no_request_leaves_the_page(page):
    """In all that it does; and the browser keeps it from asking elsewhere, by its Content-Security-Policy."""
    page.driver.get_log('performance')
    page.open().wait('Ready.')
    page.take_sample(0)
    page.choose_model(CLASSIFIER)
    entries = [json.loads(entry['message'])['message'] for entry in page.driver.get_log('performance')]
    sent = [entry['params']['request'] for entry in entries if entry['method'] == 'Network.requestWillBeSent']
    assert len(sent) > 10
    assert [request['url'] for request in sent if not request['url'].startswith((page.address, 'data:', 'blob:'))] == []
    assert {request['method'] for request in sent} == {'GET'}
    asked = "return await fetch('http://localhost:1/').then(() => 'answered', (error) => error.name)"
    assert page.call(asked) == 'TypeError'
    assert any('Content Security Policy' in message for message in page.complaints())


def test_opened_as_a_file_it_says_how_to_open_it(driver, site):
    sentence = Page(driver, f'file://{site}/index.html').open().wait_for_fault()
    assert sentence.startswith('This page runs from a web address only')


@pytest.mark.parametrize('task', TASKS)
def test_a_picture_is_answered_by_the_model_that_is_served(driver, models, servers, task, photo):
    expected = models[task](photo)
    for size in SIZES.values():
        page = Page(driver, servers[task].address).open(size)
        page.wait('Ready.')
        assert 'pictures are sent there and not kept' in page.find('#privacy').text
        page.choose(photo)
        page.wait('found in')
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


def test_a_drawing_is_answered_by_a_served_model(driver, servers):
    page = Page(driver, servers['classification'].address).open()
    page.wait('Ready.')
    page.find('#draw').click()
    page.wait('Draw a digit.')
    page.forget_status()
    page.find('#stage').click()
    page.wait('found in')
