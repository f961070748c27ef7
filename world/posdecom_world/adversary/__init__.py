"""Somebody who heard every run, can change any field and sign with every key but the right one; and what it gets.

`life` lives a terminal through all its states and `forgery` makes what is offered. To whom: `terminal` (an `Intruder`
on its line), the agent by `lies` (a `Rogue` terminal that it is `meeting`) and by `agent` (a false desk), the
acquirer's `host` and `desk`; `impostors` come to terminal and agent by real TLS. `matrix` counts what came of it,
`whole` is all of it. Nothing may come of it but refusals and what is there already: `matrix.Breach` where memory,
journal, books or shelf move.
"""
