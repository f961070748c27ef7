"""Views of a checked certificate for people and programs. The signed file is the original; these are made from it."""
