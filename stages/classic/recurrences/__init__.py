"""Closed forms of quadratic recurrences."""
