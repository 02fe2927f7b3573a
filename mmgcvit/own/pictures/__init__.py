"""Find the pictures that a command gets, and write what is predicted for them.

The names of all outputs are in ``output_files``, by which they are told from pictures.
"""
