"""``mmgcvit predict``: one command for the three tasks, whose ends are sentences and exit codes."""

import json
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from mmgcvit.commands.main import run_command
from mmgcvit.inference import running
from mmgcvit.inference.inputs import get_frame_rate, read_frames

from .conftest import CLASSES, picture_of
from .test_inputs import FakeCapture, camera, write_video  # noqa: F401  (a fixture)


@pytest.fixture
def photos(tmp_path):
    """A folder with three pictures."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for number, name in enumerate(('a.png', 'b.jpg', 'c.png')):
        cv2.imwrite(str(folder / name), picture_of(90, 120 + 10 * number, seed=number))
    return folder


@pytest.fixture
def out(tmp_path):
    """Where the command writes where no other folder is named."""
    return tmp_path / 'predictions'


KINDS = (('vis', 'mp4'), ('preds', 'jsonl'))


def content(path):
    return json.loads(path.read_text())


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_is_drawn_and_written(call, work_dir, task, photos, out):
    threshold = ['--score-thr', 0] if task == 'detection' else []
    code, printed = call('predict', work_dir, photos, '--device', 'cpu', '--batch-size', 2, *threshold)
    assert code == 0
    assert f'{task}, {len(CLASSES[task])} classes, on the CPU: {work_dir}/epoch_1.pth' in printed
    assert '3 images predicted: predictions' in printed
    images = content(out / 'images.json')
    assert [image['file_name'] for image in images['images']] == [str(path) for path in sorted(photos.iterdir())]
    assert [category['name'] for category in images['categories']] == CLASSES[task]
    records = content(out / 'predictions.json')
    assert {record['image_id'] for record in records} == {1, 2, 3}
    for image in images['images']:
        drawn = cv2.imread(image['drawn'])
        least = 224 if task == 'classification' else image['height']
        assert drawn.shape[0] == least
        if task == 'segmentation':
            label_map = cv2.imread(image['label_map'], cv2.IMREAD_UNCHANGED)
            assert label_map.shape == (image['height'], image['width'])
            areas = {r['category_id']: r['area'] for r in records if r['image_id'] == image['id']}
            assert areas == dict(zip(*map(np.ndarray.tolist, np.unique(label_map, return_counts=True)), strict=True))
    assert not list(out.rglob('*unfinished*'))


def test_a_broken_one_of_many_is_named_and_counted_and_skipped(call, work_dirs, photos, tmp_path, out):
    (photos / 'words.jpg').write_text('words')
    (photos / 'notes.txt').write_text('words')
    os.mkfifo(tmp_path / 'pipe.jpg')
    code, printed = call('predict', work_dirs['classification'], photos, 'pipe.jpg', '--batch-size', 3)
    assert code == 1
    assert f'skipped: {photos}/words.jpg cannot be read: ' in printed
    assert 'skipped: pipe.jpg: it is not a regular file' in printed
    assert 'left out, neither images nor videos by their suffixes: 1 file\n' in printed
    assert printed.splitlines()[-2:] == [
        '3 images predicted, 2 skipped: predictions',
        'predict: 2 of the inputs could not be used, named above',
    ]
    assert [image['id'] for image in content(out / 'images.json')['images']] == [1, 2, 3]


def test_an_earlier_result_is_kept_or_replaced(call, work_dirs, photos, out):
    folder = work_dirs['segmentation']
    call('predict', folder, photos)
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    code, printed = call('predict', folder, photos / 'a.png', '--out-dir', 'predictions')
    assert (code, 'replace it with --overwrite' in printed) == (1, True)
    printed = call('predict', folder, photos / 'a.png', '--no-save-vis')[1]
    assert printed.splitlines()[-1] == '1 image predicted: predictions2', 'a folder that nobody named'
    assert before == {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    assert call('predict', folder, photos / 'a.png', '--overwrite')[0] == 0
    assert before.keys() == {path for path in out.rglob('*') if path.is_file()}
    assert {record['image_id'] for record in content(out / 'predictions.json')} == {1}


def test_of_an_animation_the_first_frame_is_taken_and_a_line_says_so(call, models, work_dirs, tmp_path):
    first, second = (Image.fromarray(picture_of(90, 120, seed=seed)) for seed in (0, 1))
    first.save(tmp_path / 'still.png')
    for ending in ('gif', 'webp', 'png'):
        options = {'lossless': True} if ending == 'webp' else {}
        first.save(tmp_path / f'film.{ending}', save_all=True, append_images=[second], **options)
    # OpenCV before 4.12 reads no GIF.
    films = [film for film in ('film.gif', 'film.webp', 'film.png') if cv2.haveImageReader(film)]
    assert len(films) > 1
    code, printed = call('predict', work_dirs['classification'], *films, 'still.png', '--device', 'cpu')
    assert code == 0
    assert [film for film in films if f'{film}: an animation, of which the first frame is taken\n' in printed] == films
    assert 'still.png: an animation' not in printed
    *_, webp, png, still = models['classification']([*films, 'still.png'])
    assert webp.scores == pytest.approx(still.scores, abs=1e-3)
    assert png.scores == pytest.approx(still.scores, abs=1e-3)


def test_a_video_gives_a_video_and_a_line_for_each_frame(call, models, work_dirs, photos, out):
    """Beside images; broken ones are named and stop no other; those of one name do not meet."""
    for folder in ('x', 'y'):
        (photos / folder).mkdir()
        write_video(photos / folder / 'film.avi')
    for name, broken in (('empty', b''), ('words', b'words'), ('cut', (photos / 'x' / 'film.avi').read_bytes()[:40])):
        (photos / f'{name}.avi').write_bytes(broken)
    code, printed = call('predict', work_dirs['classification'], photos, photos / 'x', photos / 'y', '--batch-size', 2)
    assert (code, '3 images and 10 frames predicted, 3 skipped: predictions' in printed) == (1, True)
    assert f'skipped: {photos}/empty.avi: it has 0 bytes' in printed
    for name in ('words', 'cut'):
        assert f'skipped: {photos}/{name}.avi cannot be opened as a video' in printed
    written = {str(path.relative_to(out)) for folder in ('vis', 'preds') for path in (out / folder).glob('*/*.*')}
    assert written == {f'{place}/{folder}/film.{ending}' for place, ending in KINDS for folder in 'xy'}
    lines = lines_of(out / 'preds' / 'x' / 'film.jsonl')
    assert [(line['frame'], line['time']) for line in lines] == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    drawn = str(out / 'vis' / 'x' / 'film.mp4')
    assert get_frame_rate(drawn) == 10.0
    taken, pictures = list(read_frames(str(photos / 'x' / 'film.avi'))), list(read_frames(drawn))
    assert len(pictures) == 5
    prediction = models['classification'](taken[3])
    assert lines[3]['predictions'][0]['category_name'] == prediction.class_name
    assert lines[3]['predictions'][0]['score'] == pytest.approx(prediction.score, abs=1e-4)


def test_a_camera_gives_so_many_frames(call, work_dirs, out, camera, monkeypatch):  # noqa: F811
    folder = work_dirs['classification']
    assert '3 frames predicted' in call('predict', folder, 'camera:0', '--frames', 3, '--no-save-vis')[1]
    assert len(lines_of(out / 'preds' / 'camera_0.jsonl')) == 3
    assert [path.name for path in out.iterdir()] == ['preds']
    printed = call('predict', folder, 'camera:0', '--out-dir', 'many', '--no-save-pred', '--batch-size', 50)[1]
    assert f'{running.CAMERA_FRAMES} frames predicted' in printed
    monkeypatch.setattr(FakeCapture, 'frames', 0)
    code, printed = call('predict', folder, 'camera:0', 'camera:3', '--out-dir', 'none')
    assert code == 1
    assert 'skipped: camera_0: no frame of it can be read\n' in printed
    assert 'skipped: there is no camera 3 that can be opened (/dev/video3)\n' in printed
    assert not (out.parent / 'none').exists()


REFUSED = {
    'RUN': 'name what to look at behind CONFIG and CHECKPOINT',
    'RUN/classify.py RUN/epoch_1.pth': 'name what to look at',
    'RUN/classify.py photos/a.png photos/b.jpg': 'photos/a.png is not a checkpoint',
    'runs/none photos/a.png': 'there is no config runs/none, neither a file nor',
    'RUN/classify.py photos/a.png': 'classify.py has no checkpoint beside it',
    'photos/a.png RUN/classify.py': 'photos/a.png is not a config (.py, ',
    'RUN empty': 'empty: none of its 0 files is an image or a video by its suffix',
    'RUN empty/none.mp4': 'empty/none.mp4: there is no such file',
    'RUN photos --batch-size 0': '--batch-size 0: expected at least 1',
    'RUN photos --frames 0': '--frames 0: expected at least 1',
    'RUN photos --tiles 31': '--tiles 31: expected at least 32',
    'RUN photos --tiles 64': 'tiles are for detection and segmentation; this is classification',
    'RUN photos --score-thr 0.5': 'only a detector has a score threshold; this is classification',
    'RUN photos --track': 'photos/a.png is an image; name videos and cameras alone',
    'RUN photos --no-save-vis --no-save-pred': 'nothing would be written',
    'RUN photos --out-dir /proc/x': '/proc/x cannot be written',
    'RUN photos --out-dir photos/a.png': 'photos/a.png cannot be written (photos/a.png: Not a directory)',
}


def test_what_cannot_be_is_one_sentence(call, work_dirs, photos, tmp_path, out):
    (tmp_path / 'empty').mkdir()
    wrong = {}
    for arguments, words in REFUSED.items():
        code, printed = call('predict', *arguments.replace('RUN', str(work_dirs['classification'])).split())
        if code != 1 or words not in printed or 'Traceback' in printed or out.exists():
            wrong[arguments] = printed
    assert wrong == {}


def test_tracking_names_the_extra_that_is_missing_and_asks_for_a_detector(call, work_dirs, monkeypatch):
    for found, words in (
        (None, "needs lap, not installed here: pip install 'mmgcvit[track]'"),
        ('lap', 'this is classification'),
    ):
        monkeypatch.setattr('mmgcvit.errors.find_spec', lambda name, found=found: found)
        code, printed = call('predict', work_dirs['classification'], 'camera:0', '--track')
        assert (code, words in printed) == (1, True), printed


def test_an_interrupted_call_leaves_whole_files(call, work_dirs, photos, out, monkeypatch):
    read = running.read_image

    def interrupted(path, loader):
        if path.endswith('b.jpg'):
            raise KeyboardInterrupt
        return read(path, loader)

    monkeypatch.setattr(running, 'read_image', interrupted)
    code, printed = call('predict', work_dirs['classification'], photos)
    assert code == 130
    assert printed.endswith('1 image predicted: predictions\ninterrupted\n')
    assert {record['image_id'] for record in content(out / 'predictions.json')} == {1}
    assert len(content(out / 'images.json')['images']) == 1


def test_a_test_takes_a_work_dir_or_a_config_and_a_checkpoint_as_other_commands_do(work_dirs, tmp_path, monkeypatch):
    """Before or behind its options; the folder of a run that is named stays as the run has left it."""
    tested = []
    monkeypatch.setattr('mmgcvit.engine.test.run_test', lambda cfg, checkpoint, **_: tested.append((cfg, checkpoint)))
    run = work_dirs['classification']
    own, other = ['--work-dir', tmp_path / 'own'], str(tmp_path / 'other.pth')
    (tmp_path / 'other.pth').write_bytes((run / 'epoch_1.pth').read_bytes())
    for arguments, checkpoint, folder in (
        ([run], run / 'epoch_1.pth', run / 'test'),
        ([run, other, *own], other, tmp_path / 'own'),
        ([run / 'classify.py', *own, other], other, tmp_path / 'own'),
    ):
        run_command('test', [*arguments, '--device', 'cpu', '--cfg-options', 'randomness.seed=3'])
        cfg, named = tested.pop()
        assert (named, cfg.work_dir) == (str(checkpoint), str(folder))
        assert (cfg.filename, cfg.randomness.seed) == (str(run / 'classify.py'), 3)
    for arguments, words in (([run / 'classify.py'], 'has no checkpoint beside it'), (['none'], 'neither a file nor')):
        with pytest.raises(SystemExit, match=words):
            run_command('test', [*arguments, '--device', 'cpu'])
