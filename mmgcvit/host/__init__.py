"""What this package needs of its surroundings, and mmengine, torch and Python lack in this form.

* ``config`` finds and reads configs, rejects options without an effect, and walks nested settings.
* ``files`` has paths and names, and writes files atomically.
* ``device`` chooses a device, and says why a GPU cannot be used.
* ``runners`` asks mmengine's runners, and calls functions on one rank.
* ``tasks`` has the names by which the tasks differ in OpenMMLab's packages.
* ``private_api`` is all private API of other packages that is used, and when each can go.
"""
