"""The read side of a site: every damage is named with its file and entry, and never with a key's value."""

from __future__ import annotations

import re
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from posdecom_simulator.provision import Site, provision
from posdecom_simulator.site import HOST, AcquirerSite, SiteError, SiteTerminal

NOW = 1_790_000_000.0


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return provision(tmp_path_factory.mktemp("site") / "demo", seed=1, now=NOW)


@pytest.fixture
def terminal(pristine: Site, tmp_path: Path) -> Path:
    """A terminal's folder that may be damaged."""
    return Path(shutil.copytree(pristine.terminal("PD-000001"), tmp_path / "terminal"))


@pytest.fixture
def acquirer(pristine: Site, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine.acquirer, tmp_path / "acquirer"))


def replace_line(path: Path, name: str, line: str) -> None:
    """The first line that sets ``name`` becomes ``line``."""
    text, count = re.subn(rf"^{name} = .*$", lambda _: line, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)


def test_settings_and_keys_are_written_as_they_were_read(terminal: Path, acquirer: Path) -> None:
    site = SiteTerminal.load(terminal)
    assert site.settings.toml() == (terminal / "settings.toml").read_text()
    assert site.keys.toml() == (terminal / "keys.toml").read_text()
    assert AcquirerSite.load(acquirer).settings.toml() == (acquirer / "settings.toml").read_text()


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("serial", "", "serial is missing or not of type str"),
        ("serial", "serial = 1", "serial is missing or not of type str"),
        ("serial", 'serial = ""', "serial is not 1 to 32 printable characters"),
        ("model", 'model = "\\u001b[2J"', "model is not 1 to 80 printable characters"),
        ("tpdu", 'tpdu = "60"', "tpdu is not 5 bytes in hexadecimal"),
        ("tpdu", 'tpdu = "60000300zz"', "tpdu is not 5 bytes in hexadecimal"),
        ("mid", 'mid = "short"', "mid is not 15 to 15 printable characters"),
        ("currency", "currency = 1000", "currency is not 1 to 999"),
        ("currency", "currency = true", "currency is missing or not of type int"),
        ("batch", "batch = 0", "batch is not 1 to 999999"),
        ("index", "index = 1", "contexts are not numbered 0, 1, 2..."),
    ],
)
def test_a_wrong_setting_is_named(terminal: Path, name: str, line: str, complaint: str) -> None:
    replace_line(terminal / "settings.toml", name, line)
    with pytest.raises(SiteError) as caught:
        SiteTerminal.load(terminal)
    assert str(caught.value) == f"{terminal / 'settings.toml'}: {complaint}"


@pytest.mark.parametrize("contexts", ["context = [1, 2]", "context = 3", ""])
def test_contexts_that_are_no_tables_are_refused(terminal: Path, contexts: str) -> None:
    path = terminal / "settings.toml"
    path.write_text(path.read_text().split("\n[[context]]")[0] + contexts)
    with pytest.raises(SiteError, match="context is"):
        SiteTerminal.load(terminal)


@pytest.mark.parametrize("name", ["TMK", "DUKPT", "DUKPT-TDES", "initial_key_id", "initial_ksn"])
def test_a_key_of_the_wrong_length_is_refused_without_showing_it(terminal: Path, name: str) -> None:
    replace_line(terminal / "keys.toml", name, f'{name} = "c0ffee"')
    assert "c0ffee" not in told(SiteTerminal.load, terminal, f"{name} is not")


@pytest.mark.parametrize(
    ("block", "complaint"), [("", "missing or not"), ('TAK = "B0080"', "not 16 to 9999")]
)
def test_a_key_block_that_is_none_is_named(terminal: Path, block: str, complaint: str) -> None:
    replace_line(terminal / "keys.toml", "TAK", block)
    assert f"TAK is {complaint}" in told(SiteTerminal.load, terminal, "TAK is")


def test_a_key_file_that_is_no_toml_is_refused_without_showing_it(terminal: Path) -> None:
    (terminal / "keys.toml").write_bytes(b'TPK = "c0ffee\n')
    assert "c0ffee" not in told(SiteTerminal.load, terminal, "is no TOML")
    (terminal / "keys.toml").write_bytes(b'TPK = "c0ffee\xff"\n')
    assert "c0ffee" not in told(SiteTerminal.load, terminal, "is no TOML")


def told(load: Callable[[Path], object], directory: Path, complaint: str) -> str:
    """Everything that a traceback of the refusal would print, causes included."""
    with pytest.raises(SiteError, match=complaint) as caught:
        load(directory)
    return "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("bdk", ["", "00" * 15, "zz" * 16, "é" * 16])
def test_a_bdk_that_is_not_16_bytes_is_refused(acquirer: Path, bdk: str) -> None:
    (acquirer / "bdk.hex").write_text(bdk)
    with pytest.raises(SiteError, match=r"bdk\.hex is not 16 bytes in hexadecimal"):
        AcquirerSite.load(acquirer)


def test_every_missing_file_is_named(terminal: Path, acquirer: Path) -> None:
    for directory, load in [(terminal, SiteTerminal.load), (acquirer, AcquirerSite.load)]:
        # the host's own key and certificate are read where TLS is asked for, by the standard library
        for path in (each for each in directory.iterdir() if each.stem != HOST):
            data = path.read_bytes()
            path.unlink()
            with pytest.raises(SiteError, match=re.escape(f"{path} cannot be read: No such file")):
                load(directory)
            path.write_bytes(data)


def test_a_file_in_anothers_place_is_refused(acquirer: Path) -> None:
    for target in ("order.key", "order.pem", "anchors.pem"):
        data = (acquirer / target).read_bytes()
        (acquirer / target).write_bytes((acquirer / "settings.toml").read_bytes())
        with pytest.raises(SiteError, match=re.escape(target)):
            AcquirerSite.load(acquirer)
        (acquirer / target).write_bytes(data)


def test_a_key_of_another_certificate_is_refused(acquirer: Path) -> None:
    shutil.copy(acquirer / "release.key", acquirer / "order.key")
    with pytest.raises(SiteError, match=r"order\.key is not the key of order\.pem"):
        AcquirerSite.load(acquirer)


def test_a_terminal_that_is_not_in_the_books_is_named(acquirer: Path) -> None:
    assert AcquirerSite.load(acquirer).terminal("PD-000001").serial == "PD-000001"
    with pytest.raises(SiteError, match="knows no terminal PD-000009"):
        AcquirerSite.load(acquirer).terminal("PD-000009")


def test_no_key_shows_when_a_site_is_printed(terminal: Path, acquirer: Path) -> None:
    site, desk = SiteTerminal.load(terminal), AcquirerSite.load(acquirer)
    shown = repr(site) + repr(desk)
    for secret in [*site.keys.clear.values(), site.channel.secret, desk.bdk, desk.order.secret]:
        assert secret.data.hex() not in shown and repr(bytes(secret.data)) not in shown
