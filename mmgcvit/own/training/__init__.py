"""Train on a folder of a user's own data: ``mmgcvit train --data FOLDER``.

How a config comes from the dataset that ``datasets.formats.read_folder`` returns:

1. ``hold_out`` makes a validation split if there is none. It keeps images of a series together
   (``datasets.series``).
2. ``plan`` chooses the settings (a ``Plan``) by the ``options`` that are given. ``start`` finds the
   model of ``--start``.
3. ``advice`` says what will not go well, and why a score may be low. Like ``plan``, it measures
   objects by ``object_sizes``.
4. ``config.make_config`` calls these, and writes the annotations and the config, a ``template``
   that it fills in.

``resuming`` is for a run that goes on. ``mmgcvit check-data FOLDER`` writes the same config into a
temporary folder.
"""
