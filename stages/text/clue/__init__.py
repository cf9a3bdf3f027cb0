"""The eleven tasks of CLUE, one readable module each, trained and judged by one loop (train.py, evaluate.py)."""
