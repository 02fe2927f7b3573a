"""Training beyond what hosts do. Rooms from ``inference`` on may import it; every hook stands alone.

Hooks, loops and wrappers that configs name (docs/reliability.md): ``finite`` leaves out steps that are not finite,
``late`` reads losses when the device has them, ``saving`` writes whole checkpoints, ``exact_resume`` and ``loops`` have
a resumed run be the same run, ``early_end`` answers a scheduler, ``precision`` and ``sharding`` fit the machine. A run
is ``training`` or ``testing``, which begin with ``starting`` and ask ``processes`` and ``batch``; ``progress`` shows
it. Begin with ``training``.
"""
