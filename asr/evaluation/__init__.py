"""Evaluation: word error rates, what they are made of, and whether a difference may be chance."""
