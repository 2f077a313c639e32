"""The engines: what a rulebook says about a transaction; the specification, the fast form, and the reasons."""
