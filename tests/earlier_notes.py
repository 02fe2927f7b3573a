"""What runs of earlier versions have noted about the folders of their data."""


def make_earlier_notes(records):
    """Return the entries of a config for the records of today's: a value of each for one folder,
    and lists for several.
    """
    entries = {
        'data': [record['folder'] for record in records],
        'data_path': [record['path'] for record in records],
        'first_image': [[record['image'], record['sha256']] for record in records],
    }
    if len(records) > 1:
        return entries
    return {key: values[0] for key, values in entries.items()}


def note_as_before(run):
    """Write the config of a run as a version of 30 November 2026 would."""
    cfg = run.config
    cfg.started_with.update(make_earlier_notes(cfg.started_with['data']))
    cfg.dump(run.config_file)
