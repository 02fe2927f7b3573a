"""The pages: their links, what they claim of the code, and their commands, which are run."""
