"""Questions and their tags, from question pages and from corpora of questions.

Article: https://kexue.fm/archives/5067 (ten million questions of Baidu Zhidao). pages.py finds the question of a page,
one module a kind; sources.py reads files; clean.py makes columns even and says what is left out and why; repeats.py
finds what was asked before; export.py writes the author's format; system.py is the stage.
"""
