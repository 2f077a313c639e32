"""What a witness remembers is on the disk before it signs, and never becomes less."""

import multiprocessing
import shutil
import stat
import threading

import apsw
import pytest
from tests.ledger.memory import LOG, ORIGIN, flipped
from tests.witness.logs import KEY, KEY_2, LOGS, NOW, Small

from carnet.ledger import checkpoint, witness
from carnet.ledger.note import Ed25519Signer
from carnet.ledger.witness import Refused, Request
from carnet.model.errors import Damaged, InputError, Unavailable
from carnet.store.witness import FILE, MOST_KEPT, Memory


def add(memory, request, logs=LOGS, keys=(KEY,), now=NOW):
    return memory.add(witness.admitted(request.data, logs), request.data, keys, lambda: now)


def size(memory, origin=ORIGIN):
    found = memory.remembered(origin)
    return 0 if found is None else found.size


def test_what_is_cosigned_is_remembered_with_the_cosignatures(memory):
    small = Small(3)
    made = add(memory, small.request(0), keys=(KEY, KEY_2))
    kept = memory.remembered(ORIGIN)
    assert (kept.size, kept.root) == (3, small.tree.root)
    found = checkpoint.opened(kept.note, ORIGIN, [LOG.verifier], [KEY.verifier, KEY_2.verifier])
    assert {(each.name, each.at) for each in found.cosignatures} == {(KEY.name, NOW), (KEY_2.name, NOW)}
    assert [each.name for each in made] == [KEY.name, KEY_2.name]


def test_a_restart_forgets_nothing(tmp_path):
    small, sizes = Small(), []
    Memory.create(tmp_path).close()
    for count in (3, 1, 8):
        memory = Memory.open(tmp_path)
        old = size(memory)
        assert not isinstance(add(memory, small.append(count).request(old)), Refused)
        sizes.append(size(memory))
        memory.close()
    memory = Memory.create(tmp_path)  # made again, it is the same
    assert (size(memory), sizes) == (12, [3, 4, 12])
    assert memory.origins() == (ORIGIN,)
    memory.close()


class Watching(apsw.VFS):
    """A disk that counts, for each file, the writes that are not synced yet."""

    def __init__(self):
        self.waiting = {}
        super().__init__("watching", "unix")

    def xOpen(self, name, flags):  # noqa: N802 -- the name is SQLite's
        return Watched(self.waiting, name, flags)


class Watched(apsw.VFSFile):
    def __init__(self, waiting, name, flags):
        self.waiting, self.name = waiting, str(name.filename()) if hasattr(name, "filename") else str(name)
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):  # noqa: N802 -- the name is SQLite's
        self.waiting[self.name] = self.waiting.get(self.name, 0) + 1
        super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802 -- the name is SQLite's
        super().xSync(flags)
        self.waiting[self.name] = 0


def test_each_cosignature_waits_for_the_disk(tmp_path):
    """When it is given nothing waits to be synced; a build that does not sync would be seen."""
    disk = Watching()
    memory = Memory.create(tmp_path, vfs="watching")
    small, waiting = Small(), []
    for old in range(10):
        add(memory, small.append().request(old))
        waiting.append(sum(disk.waiting.values()))
    assert waiting == [0] * 10
    assert memory._db.pragma("journal_mode") == "wal"
    memory._db.pragma("synchronous", "off")
    add(memory, small.append().request(10))
    assert sum(disk.waiting.values()) > 0
    memory.close()
    disk.unregister()


def test_a_refused_request_changes_nothing(memory):
    small = Small(3)
    add(memory, small.request(0))
    before = memory.remembered(ORIGIN)
    for request in (Small(7).request(0), Small(9, mark="forged").request(3), Request(3, (), Small(4).signed)):
        assert isinstance(add(memory, request, now=NOW + 9), Refused)
        assert memory.remembered(ORIGIN) == before


def test_logs_are_remembered_each_for_itself(memory):
    other = Ed25519Signer("log.example/other", LOG.private)
    logs = {**LOGS, other.name: [other.verifier]}
    add(memory, Small(3).request(0), logs)
    add(memory, Small(5, signer=other, origin=other.name).request(0), logs)
    assert [size(memory, origin) for origin in memory.origins()] == [3, 5]


def test_no_time_no_cosignature(memory):
    with pytest.raises(Unavailable, match="set the clock"):
        add(memory, Small(3).request(0), now=0)
    assert memory.remembered(ORIGIN) is None


def test_a_full_disk_cosigns_nothing_and_goes_on_when_there_is_room(memory):
    small = Small(3)
    add(memory, small.request(0))
    memory._db.pragma("max_page_count", memory._db.pragma("page_count"))
    last = "x" * 30_000
    large = Small(4)
    large.tree = small.append(4).tree
    signed = checkpoint.signed(checkpoint.Checkpoint(ORIGIN, 7, large.tree.root, (last,)), [LOG]).data
    request = small.request(3, signed)
    with pytest.raises(Unavailable, match="full"):
        add(memory, request)
    assert size(memory) == 3
    memory._db.pragma("max_page_count", 10_000)
    assert not isinstance(add(memory, request), Refused)
    assert size(memory) == 7


def test_what_is_not_kept_as_it_was_written_is_not_cosigned(memory):
    """A store that keeps something else: read back before the commit, it is found."""
    memory._db.execute(
        "CREATE TRIGGER other AFTER INSERT ON remembered BEGIN UPDATE remembered SET note = x'00'; END"
    )
    with pytest.raises(Damaged):
        add(memory, Small(3).request(0))
    memory._db.execute("DROP TRIGGER other")
    assert memory.remembered(ORIGIN) is None


def test_the_file_itself_refuses_to_shrink_or_to_forget(memory):
    add(memory, Small(3).request(0))
    for statement in (
        "UPDATE remembered SET size = 2",
        "UPDATE remembered SET root = zeroblob(32)",
        "UPDATE remembered SET origin = 'log.example/other'",
        "DELETE FROM remembered",
    ):
        with pytest.raises(apsw.ConstraintError):
            memory._db.execute(statement)
    assert size(memory) == 3


def test_a_request_that_contradicts_is_kept_as_evidence(memory):
    add(memory, Small(3).request(0))
    forged = [Small(3 + index, mark="forged").request(3) for index in range(3)]
    for request in (*forged, forged[0]):
        add(memory, request, now=NOW + 60)
    add(memory, Small(7).request(0))  # only stale
    assert [(each.at, each.request) for each in memory.contradictions()] == [
        (NOW + 60, request.data) for request in forged
    ]


def test_evidence_has_an_end(memory):
    add(memory, Small(3).request(0))
    for index in range(MOST_KEPT + 3):
        add(memory, Small(3, mark=f"forged {index}").request(3))
    assert len(memory.contradictions()) == MOST_KEPT


def test_of_requests_at_once_only_one_passes(memory):
    """Two views of one log race: whichever comes first, the other is refused."""
    add(memory, Small(4).request(0))
    views = [Small(4).copy(mark=f"view {index}").append(3).request(4) for index in range(8)]
    start, answers = threading.Barrier(len(views)), []

    def ask(request):
        start.wait()
        answers.append((add(memory, request), request))

    threads = [threading.Thread(target=ask, args=(view,)) for view in views]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = [request for answer, request in answers if not isinstance(answer, Refused)]
    assert len(passed) == 1
    about = checkpoint.opened(passed[0].note, ORIGIN, [LOG.verifier]).checkpoint
    assert (memory.remembered(ORIGIN).size, memory.remembered(ORIGIN).root) == (7, about.root)


def passes(directory, mark, start, results):
    memory = Memory.open(directory)
    request = Small(4).copy(mark=mark).append(3).request(4)
    start.wait()
    results.put(not isinstance(add(memory, request), Refused))
    memory.close()


def test_of_processes_at_once_only_one_passes(tmp_path):
    memory = Memory.create(tmp_path)
    add(memory, Small(4).request(0))
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(3), context.Queue()
    several = [
        context.Process(target=passes, args=(tmp_path, f"view {index}", start, results)) for index in range(3)
    ]
    for each in several:
        each.start()
    for each in several:
        each.join()
    assert sorted(results.get() for _ in several) == [False, False, True]
    assert size(memory) == 7
    results.close()
    results.join_thread()
    memory.close()


def test_a_directory_without_a_memory_is_not_filled_in_silence(tmp_path):
    with pytest.raises(InputError, match="make it with `carnet witness init`"):
        Memory.open(tmp_path)
    assert not (tmp_path / FILE).exists()


def test_only_a_memory_of_this_format_is_opened(tmp_path):
    memory = Memory.create(tmp_path)
    memory._db.execute("PRAGMA user_version = 2")
    memory.close()
    with pytest.raises(InputError, match="is of format `2`"):
        Memory.open(tmp_path)
    with apsw.Connection(str(tmp_path / FILE)) as other:
        other.execute("PRAGMA application_id = 7")
    other.close()
    with pytest.raises(InputError, match="is not the memory of a witness"):
        Memory.open(tmp_path)
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(Damaged):
        Memory.open(tmp_path)


def test_only_its_owner_reads_it(memory, tmp_path):
    add(memory, Small(3).request(0))
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_no_flipped_bit_makes_it_forget_or_shrink(tmp_path):
    """Whatever bit of the file changes: what is remembered is right, or it says that it is damaged."""
    home = tmp_path / "home"
    home.mkdir()
    other = Ed25519Signer("log.example/other", LOG.private)
    logs = {**LOGS, other.name: [other.verifier]}
    memory = Memory.create(home)
    add(memory, Small(3).request(0), logs)
    add(memory, Small(5, signer=other, origin=other.name).request(0), logs)
    right = {origin: memory.remembered(origin) for origin in memory.origins()}
    memory.close()
    whole = (home / FILE).read_bytes()
    used = [at for at, byte in enumerate(whole) if byte]
    told = 0
    for turn in range(800):
        place = used[turn * 7919 % len(used)]
        (home / FILE).write_bytes(flipped(whole, 8 * place + turn % 8))
        try:
            memory = Memory.open(home)
        except (Damaged, Unavailable, InputError):
            told += 1
            continue
        try:
            for origin, kept in right.items():
                found = memory.remembered(origin)
                assert found is not None
                assert (found.size, found.root) == (kept.size, kept.root)
        except (Damaged, Unavailable):
            told += 1
        finally:
            memory.close()
            for left in (home / f"{FILE}-wal", home / f"{FILE}-shm"):
                left.unlink(missing_ok=True)
    assert told > 50


def test_an_old_copy_put_back_is_what_no_witness_can_see(tmp_path):
    """Written down, so that nobody believes otherwise: the page says never to restore a witness."""
    home, copy = tmp_path / "home", tmp_path / "copy"
    home.mkdir()
    memory = Memory.create(home)
    add(memory, Small(3).request(0))
    memory.close()
    shutil.copytree(home, copy)
    memory = Memory.open(home)
    add(memory, Small(8).request(3))
    memory.close()
    memory = Memory.open(copy)
    assert size(memory) == 3
    memory.close()
