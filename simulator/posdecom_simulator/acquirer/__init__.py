"""The acquirer: host, ledger, and what else of it a terminal leaving service meets."""
