"""Read, convert, load and save checkpoints of the backbones.

Start with :mod:`.reading`, which returns the content of a file, and :mod:`.weights`, which finds
the weights of a network in it. :mod:`.loading` puts them into a backbone.

* Files: :mod:`.downloading`, :mod:`.intact`.
* Formats: :mod:`.translating` (the tables of keys), :mod:`.dino`, :mod:`.converting`.
* Fitting weights to a model: :mod:`.checks`, :mod:`.fitting`, :mod:`.starting`,
  :mod:`.class_rows`, :mod:`.grids`, :mod:`.lora`.
* Safety: :mod:`.unpickling`, :mod:`.safe_loading`.
* Origin: :mod:`.released`, :mod:`.licences`, :mod:`.published`.

This subpackage finds networks by the registry only, and does not name ``models`` in an import.
Functions called ``read_...`` return the content of a file, a URL or a run. Those called
``load_...`` put tensors into a model.
"""
