"""The words: transactions, facts, instants and determinations as frozen data; it imports nothing else of Carnet."""
