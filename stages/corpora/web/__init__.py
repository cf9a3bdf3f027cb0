"""Crawls: polite, resumable, sealed into rounds."""
