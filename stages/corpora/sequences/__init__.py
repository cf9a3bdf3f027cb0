"""Data sets of short sequences of symbols: made ones, whose law is known, and sentences of a corpus."""
