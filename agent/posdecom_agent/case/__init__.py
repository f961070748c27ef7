"""The case: the paperwork of one decommission, in a TOML file that people write; a table says what it holds."""
