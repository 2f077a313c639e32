"""What docs/how-to/run-on-postgresql.md shows as Python runs as it is written."""

import re
from pathlib import Path

from tests.ledger.memory import LOG
from tests.postgres.nodes import Node, keys, now, until
from tests.store.logs import term

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-on-postgresql.md"


def test_what_the_page_shows_runs(tmp_path, own_server):
    node = Node(tmp_path)
    node.record("one", "two")
    names = {
        "ADDRESS": own_server.address(),
        "node_log": node.log,
        "node_keys": keys,
        "now": now,
        "signer": LOG,
        "terms": [term("two")],
    }
    setup, search = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(setup.replace('"carnet.example/all"', f'"{LOG.name}"'), names)
    until(lambda: names["shipper"].behind == 0)
    exec(search.replace('"default"', '"a"'), names)
    assert [copy.record.id for copy in names["page"]] == ["two"]
    assert names["following"] == []
    store = names["store"]
    until(lambda: not store.pending())
    assert names["sequencer"].leads
    assert (names["sequencer"].trouble, names["shipper"].trouble) == (None, None)
    assert store.reports() == []
    assert store.verify(node.origin).size == 2
    assert store.forget(node.origin, [1]) == 1
    names["shipper"].stop()
    names["sequencer"].stop()
    store.close()
    node.log.close()
