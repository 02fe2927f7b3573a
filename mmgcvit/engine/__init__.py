"""Training beyond what hosts do: whole checkpoints, exact resuming, finite numbers, early ends, precision, sharding.

Hooks, loops and wrappers that configs name (docs/reliability.md), and the processes and the progress of a run. Rooms
from ``inference`` on may import it. Begin with ``saving`` and ``exact_resume``; every hook stands alone.
"""
