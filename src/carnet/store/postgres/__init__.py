"""What several nodes share in PostgreSQL: the log of logs and the copy of records that is searched. Nothing
here is the root of trust: a node decides and records without it.

Import from the modules: `log` opens the log of logs and `sequencer` keeps it, `copies` is searched, `shipper`
fills it. It needs the extra `postgres`.
"""
