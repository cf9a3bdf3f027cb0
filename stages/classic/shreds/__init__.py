"""Shredded paper put together again: strips and cross-cut pages, printed on one side or on both."""
