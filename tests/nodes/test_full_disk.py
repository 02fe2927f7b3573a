"""A disk that is full from any file on that a rank writes ends the run with the same sentence, and
loses nothing that was written: the resumed run ends as an uninterrupted one.

Modules: `mmgcvit/engine`, `mmgcvit/commands/main.py`.
"""

import pytest

from ..engine.random_training import assert_same
from .ranks import read_state, train_in_forks
from .table import LOST

FULL = 'train: No space left on device. Free some disk space'
# Every file that rank 0 writes in a training, and those of the other ranks.
FILES = ('.lock', 'TIME.json', 'TIME.log', 'config.py', 'scalars.json', 'nodes.py')
FILES += ('epoch_1.pth', 'epoch_2.pth', 'best_score_epoch_1.pth', 'best_score_epoch_2.pth')
FILES += ('last_checkpoint', 'validated', 'part_0.pkl')
OTHERS = ('part_1.pkl',)


@pytest.mark.release
def test_the_files_of_a_run_are_those_of_the_other_test(tmp_path):
    for rank, expected in enumerate((FILES, OTHERS)):
        work_dir = tmp_path / f'run{rank}'
        train_in_forks(2, work_dir, events=[['opening', '', rank, '', 'rank']])
        openings = (tmp_path / f'run{rank}_openings').read_text().splitlines()
        assert set(openings) == set(expected)


@pytest.mark.release
@pytest.mark.parametrize(
    ('rank', 'name'), [*((0, name) for name in FILES), *((1, name) for name in OTHERS)]
)
def test_a_disk_that_is_full_from_a_file_on_ends_the_ranks_with_a_sentence(
    rank, name, whole, tmp_path
):
    work_dir = tmp_path / 'run'
    ended = train_in_forks(2, work_dir, events=[['opening', name, rank, 'ENOSPC', 'rank']])
    assert [code for code, _ in ended] == [1, 1], [text[-1500:] for _, text in ended]
    assert FULL in ended[rank][1]
    other = ended[1 - rank][1]
    assert LOST in other or 'rank 0 stopped: OSError' in other, other[-2000:]
    for code, output in train_in_forks(2, work_dir, '--resume'):
        assert code == 0, output[-2000:]
    assert_same(read_state(work_dir), whole(2))
