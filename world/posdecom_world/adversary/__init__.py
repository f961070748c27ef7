"""Somebody who heard every run, can change any field and sign with every key but the right one; and what it gets.

`life` lives a terminal through all its states, `forgery` makes what is offered to it, `terminal`, `agent` and `books`
are whom it is offered to, `matrix` counts what came of it. Nothing may come of it but refusals and what is there
already: `matrix.Breach` where memory, journal or books move.
"""
