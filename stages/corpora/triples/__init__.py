"""Triples (subject, attribute, value) from the infoboxes of encyclopedia pages, from dumps and from records.

Article: https://kexue.fm/archives/4359 (25 million Chinese triples). pages.py finds the box of a page, one module a
kind; sources.py reads files; clean.py makes columns even; merge.py joins what says the same; store.py holds the
answer and finds in it; export.py writes what other programs read; system.py is the stage.
"""
