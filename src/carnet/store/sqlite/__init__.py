"""One node's log in a SQLite file: group commit, readings, backup; what a record means is not here.

Import from the modules: `log` opens it, `backup` copies it, `check` looks at what no signature covers.
"""
