"""The whole decommission in one thread, in virtual time, from one seed. The only package that may import all others."""
