"""Images that turn out to be damaged while a run trains, counted over all workers that load data for a process."""

import multiprocessing
from hashlib import blake2b
from typing import Any


class TooManyDamagedError(RuntimeError):
    """More images are damaged than a run may do without."""

    @property
    def sentence(self) -> str:
        """What it says: torch puts a worker's traceback before it."""
        return str(self).strip().splitlines()[-1].removeprefix(f'{__name__}.{type(self).__name__}: ')


class DamagedFiles:
    """Files that could not be read, each counted once, in memory that a process and its workers share.

    Args:
        most: So many are borne.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        # A digest of each file's name: names of any length would not fit. One more than are borne.
        self.digests = multiprocessing.Array('Q', most + 1)
        self.count = multiprocessing.Value('i', 0)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'DamagedFiles':
        """Copies of a data set count together."""
        return self

    def add(self, path: str) -> int | None:
        """Count a file.

        Returns:
            How many there are now; None for one that was counted before.
        """
        digest = int.from_bytes(blake2b(path.encode(), digest_size=8).digest(), 'big')
        with self.digests.get_lock():
            if digest in self.digests[: self.count.value]:
                return None
            if self.count.value <= self.most:
                self.digests[self.count.value] = digest
                self.count.value += 1
            return self.count.value
