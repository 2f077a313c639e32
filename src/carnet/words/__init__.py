"""The catalogue of everything that people read; no decision is made here."""
