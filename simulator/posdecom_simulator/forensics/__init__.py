"""Proof by search: what a terminal ever held as a key, and whether any of it is still to be found anywhere."""
