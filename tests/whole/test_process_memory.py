"""A real terminal's process, looked at from outside through /proc: full of keys while it trades, without one after.

The erase ends with an exec, so it is the same process id before and after, and a fresh image.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from posdecom_simulator.forensics.forms import Form
from posdecom_simulator.forensics.places import files_in, process_memory
from posdecom_simulator.forensics.search import Search
from posdecom_simulator.forensics.secrets_file import read_record
from real_parts import RealParts


def is_readable(pid: int) -> bool:
    try:
        next(iter(process_memory(pid)))
    except OSError:
        return False
    return True


def found(search: Search, pid: int, forms: Iterable[Form] = Form) -> set[str]:
    return {
        find.slot
        for name, data in process_memory(pid)
        for find in search.look(name, data)
        if find.form in forms
    }


@pytest.mark.long
@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="only Linux shows a process's memory as a file"
)
def test_a_terminals_process_holds_keys_before_the_erase_and_none_after(tmp_path: Path) -> None:
    with RealParts(tmp_path, transactions=5) as parts:
        parts.start_acquirer()
        parts.write_order()
        secrets = tmp_path / "secrets"
        terminal = parts.start_terminal(record_secrets=secrets)
        parts.wait_for_terminal(terminal)
        if not is_readable(terminal.pid):
            pytest.skip("the system does not let a process read its child's memory")
        # in hex it is in there because it was told to record: that proves nothing
        before = found(Search(read_record(secrets)), terminal.pid, [Form.RAW])
        assert before >= {"DUKPT", "TMK", "IDENTITY-CHANNEL"}, "the control fails, the run is void"
        done = parts.retire()
        assert done.returncode == 0, done.stderr
        parts.wait_for_terminal(terminal)  # the image that the exec has put there
        search = Search(read_record(secrets))
        assert search.values > 50
        assert found(search, terminal.pid) == set()
        for place in (parts.folder / "terminal", parts.journal, parts.out):
            assert [find for name, data in files_in(place) for find in search.look(name, data)] == []
