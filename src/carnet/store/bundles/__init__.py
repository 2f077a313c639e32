"""Signed bundles: a rulebook and a policy that several approvers signed, sent to nodes as The Update
Framework (TUF) says. Needs the extra `feed`; nothing here runs in the path of a request.

Import from the modules: `form` is a bundle, `drafts` and `publisher` make and sign a repository, `source` is
where a node reads one, `trust` verifies, `node` takes and keeps, `orders` says when a bundle is enforced.
"""
