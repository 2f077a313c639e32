"""The proof: a Merkle log of records, signed checkpoints, tiles and audit; no I/O and no clock is here.

Each module's own docstring says what is in it; import from the modules.
"""
