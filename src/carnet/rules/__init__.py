"""The rule language: rule files become one typed tree, checked; no engine and no I/O is here."""
