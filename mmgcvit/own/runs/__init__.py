"""Where the data of a run of ``train --data`` are."""
