"""Couplets: made of antithetic words, so that the right second line is known, or read from files."""
