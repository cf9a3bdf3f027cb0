"""Data sets of the tasks of CLUE in CLUE's own formats: from its files, or small ones from grammars of our own."""
