"""The commands of ``posdecom-sim``, one module each."""
