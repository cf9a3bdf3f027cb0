"""Logistic regression with an analytic solution."""
