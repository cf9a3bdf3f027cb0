"""Couplets: given the first line, the second, character by character (https://kexue.fm/archives/6270)."""
