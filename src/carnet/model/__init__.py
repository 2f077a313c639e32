"""The words: transactions, facts, instants and determinations as frozen data; imports nothing else of Carnet.

Each module's own docstring says what is in it; import from the modules.
"""
