"""The deterministic world: a line, a terminal on it and what may go wrong, in virtual time and from one seed."""
