"""The language that agent, terminal and acquirer speak. Pure: no clock, no randomness, no OS, no sockets, no log.

Time comes in as ``now`` (seconds, float), deadlines go out; keys, nonces and stores are handed in.
"""
