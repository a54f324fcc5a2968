"""Fetching and importing datasets: offline, against a server on this machine that misbehaves."""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from memlm.data import catalog, check, fetch, gather, stories, unpack
from memlm.data.catalog import DataFile, Dataset
from memlm.errors import MemlmError

TEXTS = {
    "toy.train.txt": b"the cat sat\non the mat\n" * 40,
    "toy.valid.txt": b"a dog sat\n",
    "toy.test.txt": b"the cat ran\nfar\n",
}
EXTRA = b"1 where ?\tmat\t1\n"
HTML = b"\n<!DOCTYPE html><html><body>Not found</body></html>"
BOGUS = "http://nowhere.invalid/data/"
CHARS = b"t h e _ c a t _ s a t\n" * 40


BODIES: dict[str, Callable[[bytes], bytes]] = {
    "html": lambda body: HTML,
    "chars": lambda body: CHARS,
    "wrong": lambda body: body.replace(b"cat", b"cow"),
    "short": lambda body: body[: len(body) // 2],
    "dropped": lambda body: body[: len(body) // 2],  # and the header promises the whole
    "long": lambda body: body * 3,
}


def pinned(path: str, text: bytes, **facts: Any) -> DataFile:
    return DataFile(path=path, size=len(text), sha256=hashlib.sha256(text).hexdigest(), **facts)


def toy(*mirrors: str, **changes: Any) -> Dataset:
    files = [
        pinned(
            name, text, split=name.split(".")[1], lines=text.count(b"\n"), tokens=len(text.split() + text.splitlines())
        )
        for name, text in TEXTS.items()
    ]
    files.append(DataFile(path="more/extra.txt", questions=1, required=False))
    facts: dict[str, Any] = {"name": "toy", "title": "Toy", "about": "a toy", "licence": "none", "homepage": "-"}
    return Dataset(**{**facts, "files": tuple(files), "mirrors": mirrors, **changes})


@pytest.fixture
def add(monkeypatch):
    return lambda dataset: monkeypatch.setitem(catalog.CATALOG, dataset.name, dataset)


@pytest.fixture
def root(tmp_path, monkeypatch, add):
    """The data folder, not there yet; `toy` is known, and no mirror of it can be reached."""
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("NO_PROXY", "*")
    add(toy(BOGUS))
    return tmp_path / "root"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_bytes(text)
    return folder


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Mirror)
        self.asked: list[str] = []
        self.files = dict(TEXTS)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Mirror(BaseHTTPRequestHandler):
    """The first part of the path says how to misbehave."""

    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        how, _, name = self.path.strip("/").partition("/")
        whole = self.server.files.get(name, b"")
        body = BODIES.get(how, bytes)(whole)
        status = 302 if how == "redirect" else int(how) if how.isdigit() else 200 if body else 404
        self.send_response(status)
        self.send_header("Location", f"/good/{name}")  # heeded in a redirect alone
        self.send_header("Content-Length", str(len(whole if how == "dropped" else body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def zipped(members: dict[Any, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return data.getvalue()


def tarred(members: dict[str, bytes], *odd: tarfile.TarInfo) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
        for info in odd:
            archive.addfile(info)
    return data.getvalue()


def assert_whole(folder: Path) -> None:
    for name, text in TEXTS.items():
        assert (folder / name).read_bytes() == text
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert all(result.ok for result in fetch.verify("toy"))


def fails(name: str, **kwargs: Any) -> str:
    """The message of a get that must fail: one line, and nothing is left of the attempt."""
    before = sorted(fetch.data_root().rglob("*"))
    with pytest.raises(MemlmError) as caught:
        fetch.get(name, **kwargs)
    assert "\n" not in str(caught.value)
    assert sorted(fetch.data_root().rglob("*")) == before
    return str(caught.value)


# -- mirrors


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("404", "HTTP 404"),
        ("500", "HTTP 500"),
        ("html", "is an HTML page"),
        ("wrong", "toy.train.txt is not the known file: sha256"),
        ("short", "toy.train.txt is not the known file: 460 bytes"),
        ("long", "toy.train.txt is not the known file: more than 920 bytes"),
        ("dropped", "connection dropped"),
        ("chars", "is character-level text"),
    ],
)
def test_a_bad_mirror_is_named_and_the_next_one_serves(server, root, add, how, reason):
    add(toy(f"{server.url}/{how}/"))
    message = fails("toy")
    assert reason in message
    assert f"{server.url}/{how}/" in message
    assert "memlm data get toy --from PATH" in message
    add(toy(f"{server.url}/{how}/", f"{server.url}/good/"))
    assert fetch.get("toy") == root / "toy"
    assert_whole(root / "toy")


def test_a_redirect_is_followed_and_a_good_file_is_not_got_twice(server, root, add):
    add(toy(f"{server.url}/redirect/"))
    said: list[str] = []
    fetch.get("toy", say=said.append)
    assert_whole(root / "toy")
    assert said[0].startswith("left out (optional): more/extra.txt was not got: HTTP 404")
    server.asked.clear()
    fetch.get("toy", say=said.append)
    assert server.asked == []
    assert said[2:] == [
        f"toy is already there and verified: {root / 'toy'}",
        "optional and not there: more/extra.txt",
    ]


def test_offline_fails_at_once_with_one_line(root, add):
    add(toy(BOGUS, "http://127.0.0.1:9/data/", "https://nowhere.invalid/toy.zip"))
    start = time.monotonic()
    message = fails("toy")
    assert time.monotonic() - start < 10
    assert message.count("cannot connect") == 3


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_mirror_serves_by_member_names(server, root, add, ending):
    members = {f"simple-examples/data/{name}": text for name, text in TEXTS.items()}
    members |= {"simple-examples/README": b"hello", "more/extra.txt": EXTRA}
    server.files[f"toy{ending}"] = (zipped if ending == ".zip" else tarred)(members)
    add(toy(f"{server.url}/good/toy{ending}"))
    said: list[str] = []
    fetch.get("toy", say=said.append)
    assert_whole(root / "toy")
    # Nothing vouches for a file without a hash that came over plain http.
    assert not (root / "toy/more/extra.txt").exists()
    assert "plain http" in said[0]


def test_a_cut_off_archive_is_a_failed_mirror(server, root, add):
    whole = tarred({name: os.urandom(50_000) for name in "abc"} | TEXTS)
    server.files["toy.tar.gz"] = whole
    add(toy(f"{server.url}/short/toy.tar.gz"))
    assert "damaged one" in fails("toy")


# -- import


def test_import_from_a_folder_a_sub_folder_and_a_base_url(server, root, source, tmp_path):
    deep = tmp_path / "deep/simple-examples/data"
    shutil.copytree(source, deep)
    for given in (str(source), str(tmp_path / "deep"), f"{server.url}/good"):
        fetch.get("toy", source=given)
        assert_whole(root / "toy")
        shutil.rmtree(root)


@pytest.mark.parametrize("name", ["toy.zip", "toy.tgz", "named-by-nobody"])
def test_import_from_an_archive(root, tmp_path, name):
    members = {f"./data/{file}": text for file, text in TEXTS.items()} | {"data/more/extra.txt": EXTRA}
    archive = tmp_path / name
    archive.write_bytes(zipped(members) if name == "toy.zip" else tarred(members))
    fetch.get("toy", source=str(archive))
    assert_whole(root / "toy")
    assert (root / "toy/more/extra.txt").read_bytes() == EXTRA
    shutil.rmtree(root)
    if name.startswith("toy"):  # a folder that holds the archive serves too
        fetch.get("toy", source=str(tmp_path))
        assert_whole(root / "toy")


@pytest.mark.parametrize("name", ["single", "other-name.gz", "single.txt.gz"])
def test_import_of_a_single_file_dataset(root, add, tmp_path, name):
    text = TEXTS["toy.train.txt"]
    add(toy(files=(pinned("single", text),)))
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    fetch.get("toy", source=str(tmp_path / name))
    assert (root / "toy/single").read_bytes() == text


def test_what_cannot_be_imported_is_said_and_leaves_nothing(root, add, source, tmp_path):
    add(toy(BOGUS, lookalikes=(("*.char.*", "the character-level toy"),)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "chars").mkdir()
    (tmp_path / "chars/toy.char.train.txt").write_bytes(CHARS)
    (tmp_path / "unnamed").write_bytes(CHARS)
    (tmp_path / "garbage.zip").write_bytes(b"PK garbage")
    for given, reason in {
        str(tmp_path / "absent"): "no file or folder at",
        "": "no file or folder at",
        "x" * 5000: "File name too long",
        "ftp://host/x": "no file or folder at",
        str(tmp_path / "empty"): "it lacks toy.train.txt, toy.valid.txt, toy.test.txt",
        str(source / "toy.train.txt"): "it lacks toy.valid.txt, toy.test.txt",
        str(tmp_path / "chars"): "toy.char.train.txt is the character-level toy",
        str(tmp_path / "chars/toy.char.train.txt"): "toy.char.train.txt is the character-level toy",
        str(tmp_path / "unnamed"): "it lacks toy.train.txt",
        str(tmp_path / "garbage.zip"): "is not an archive, or a damaged one",
    }.items():
        assert reason in fails("toy", source=given)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is empty"),
        (HTML, "is an HTML page"),
        (CHARS, "is character-level text"),
        (b"a cat \xff sat\n", r"is not UTF-8 text (byte 6)"),
        (b"a cat sat\n", "10 bytes instead of 920"),
        (b"the cow sat\non the mat\n" * 40, "sha256"),
        (b"the cat sat\non the mat\n" * 41, "more than 920 bytes"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(root, source, text, reason):
    (source / "toy.train.txt").write_bytes(text)
    message = fails("toy", source=str(source))
    assert "toy.train.txt" in message
    assert reason in message


def test_counts_are_checked_beside_the_hash(root, add, source):
    dataset = toy(BOGUS)
    wrong = DataFile(path="toy.valid.txt", tokens=5)
    add(toy(BOGUS, files=(wrong, *(file for file in dataset.files if file.path != wrong.path))))
    assert "toy.valid.txt holds 4 tokens instead of 5" in fails("toy", source=str(source))


# -- archives that are not to be trusted


def odd_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (odd_member("../outside.txt", tarfile.REGTYPE), "leads out of the folder"),
        (odd_member("a/..\\..\\outside.txt", tarfile.REGTYPE), "leads out of the folder"),
        (odd_member("/tmp/outside.txt", tarfile.REGTYPE), "is an absolute path"),
        (odd_member("C:/outside.txt", tarfile.REGTYPE), "is an absolute path"),
        (odd_member("toy.test.txt", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (odd_member("toy.test.txt", tarfile.LNKTYPE, "toy.train.txt"), "is a link"),
        (odd_member("null", tarfile.CHRTYPE), "is a device"),
        (odd_member("pipe", tarfile.FIFOTYPE), "is a device"),
    ],
)
def test_a_dangerous_tar_is_refused_by_the_members_name(root, tmp_path, member, reason):
    archive = tmp_path / "toy.tar.gz"
    archive.write_bytes(tarred(TEXTS, member))
    message = fails("toy", source=str(archive))
    assert f"member {member.name!r} {reason}" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "toy.tar.gz"]


def test_a_dangerous_zip_is_refused_by_the_members_name(root, tmp_path):
    link = zipfile.ZipInfo("a-link")
    link.external_attr = 0o120777 << 16
    for name, reason in (("../out", "leads out"), ("/out", "is an absolute path"), (link, "is a link")):
        (tmp_path / "toy.zip").write_bytes(zipped({**TEXTS, name: b"x"}))
        assert reason in fails("toy", source=str(tmp_path / "toy.zip"))


def test_a_bomb_is_refused(root, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "ARCHIVE_LIMIT", 1_000_000)
    for name, make in (("toy.zip", zipped), ("toy.tgz", tarred)):
        (tmp_path / name).write_bytes(make({"zeros": bytes(2_000_000)}))
        assert "refused: too much in it, from its member 'zeros' on" in fails("toy", source=str(tmp_path / name))
        (tmp_path / name).write_bytes(make({"toy.train.txt": bytes(900_000)}))
        assert "more than" in fails("toy", source=str(tmp_path / name))


def test_an_unpinned_file_has_a_limit(root, source, monkeypatch):
    monkeypatch.setattr(gather, "UNPINNED_LIMIT", 10)
    (source / "more").mkdir()
    (source / "more/extra.txt").write_bytes(EXTRA * 100)
    said: list[str] = []
    fetch.get("toy", source=str(source), say=said.append)
    assert said[0].startswith("left out (optional): more/extra.txt")
    assert_whole(root / "toy")


# -- what lies there, and atomicity


def test_what_a_user_put_there_is_never_written_over(root, source):
    (root / "toy").mkdir(parents=True)
    (root / "toy/toy.train.txt").write_bytes(b"mine\n")
    message = fails("toy", source=str(source))
    assert f"{root}/toy/toy.train.txt is not the known file" in message
    assert f"mv {root}/toy {root}/toy.old" in message
    assert (root / "toy/toy.train.txt").read_bytes() == b"mine\n"
    with pytest.raises(MemlmError, match="is not the known file"):
        fetch.get("toy")


def test_right_files_put_there_by_hand_are_taken_as_they_are(root, source):
    shutil.copytree(source, root / "toy")
    assert fetch.get("toy") == root / "toy"
    assert set(TEXTS) == set(json.loads((root / "toy" / check.MANIFEST).read_text()))


def test_a_start_is_cheap_and_a_change_is_still_seen(root, source, monkeypatch):
    fetch.get("toy", source=str(source))
    with monkeypatch.context() as patch:
        patch.delattr(check, "scan")
        assert fetch.get("toy") == root / "toy"
    (root / "toy/toy.test.txt").write_bytes(b"the cow ran\nfar\n")  # the same size
    with pytest.raises(MemlmError, match=r"toy\.test\.txt is not the known file: sha256"):
        fetch.get("toy")
    (root / "toy/toy.test.txt").unlink()
    assert [result.problem for result in fetch.verify("toy") if not result.ok] == ["is missing"]


def test_a_damaged_manifest_only_costs_a_check(root, source):
    fetch.get("toy", source=str(source))
    for text in ("", "[]", '{"files": {"toy.train.txt": 3}}', "\x00"):
        (root / "toy" / check.MANIFEST).write_text(text)
        assert fetch.get("toy") == root / "toy"


def test_ctrl_c_and_a_full_disk_leave_nothing(root, source, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    def full(*_, **__):
        raise OSError(28, "No space left on device", "toy.valid.txt")

    monkeypatch.setattr(fetch, "write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch.get("toy", source=str(source))
    assert list(root.iterdir()) == []
    monkeypatch.setattr(gather, "save", full)
    assert fails("toy", source=str(source)) == "cannot read or write toy.valid.txt: No space left on device"


def test_a_quicker_process_wins_and_both_end_well(root, source, monkeypatch):
    real = check.write_manifest

    def meanwhile(folder, *rest):
        real(folder, *rest)
        if not (root / "toy").exists():
            shutil.copytree(folder, root / "toy")

    monkeypatch.setattr(fetch, "write_manifest", meanwhile)
    assert fetch.get("toy", source=str(source)) == root / "toy"
    assert_whole(root / "toy")


def test_a_file_in_the_place_of_the_folder_is_said(root, source):
    root.mkdir()
    (root / "toy").write_text("x")
    assert "it is not a folder" in fails("toy", source=str(source))
    shutil.rmtree(root)
    root.write_text("x")
    assert "cannot read or write" in fails("toy", source=str(source))


# -- counting


def test_scan_counts_across_pieces_and_names_the_bad_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CHUNK", 3)
    path = tmp_path / "text"
    path.write_bytes("élan vital\n\nna\u00efve  élan\tx".encode())
    found = check.scan(path)
    assert (found.lines, found.tokens, found.types) == (3, 8, 5)
    assert found.words == {"élan": 2, "vital": 1, "naïve": 1, "x": 1, "<eos>": 3}
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for text, byte in ((b"ab cd \xc3", 6), (b"abcdefg\xff", 7), ("ééé".encode() + b"\xe9 x", 6)):
        path.write_bytes(text)
        with pytest.raises(MemlmError, match=rf"text is not UTF-8 text \(byte {byte}\)"):
            check.scan(path)
    path.write_bytes(b"")
    with pytest.raises(MemlmError, match="is empty"):
        check.scan(path)


def test_a_word_without_end_is_not_text(tmp_path):
    (tmp_path / "x").write_bytes(b"x" * 3_000_000)
    with pytest.raises(MemlmError, match="is not text"):
        check.scan(tmp_path / "x")


# -- the real ones


def test_stories_are_generated_with_their_floor(root):
    assert "generated, not imported" in fails("stories", source=str(root))
    said: list[str] = []
    fetch.get("stories", say=said.append)
    assert said == [f"stories is there and verified: {root / 'stories'}"]
    assert all(result.ok for result in fetch.verify("stories"))
    floors = {split: facts["floor_perplexity"] for split, facts in fetch.floor("stories").items()}
    assert floors == pytest.approx({split: made.floor_perplexity for split, made in stories.generate().items()})


def test_the_real_ptb(root, tmp_path, real_data):
    folder = real_data / "ptb"
    fetch.get("ptb", source=str(folder))
    assert [result.tokens for result in fetch.verify("ptb")] == [929_589, 73_760, 82_430]
    assert fetch.split_files("ptb")["valid"] == root / "ptb/ptb.valid.txt"
    assert fetch.floor("ptb") == {}
    shutil.rmtree(root)
    characters = " _ ".join(" ".join(w) for w in (folder / "ptb.valid.txt").read_text().split()[:300])
    (tmp_path / "chars").mkdir()
    for name in ("ptb.char.train.txt", "ptb.train.txt"):
        (tmp_path / "chars" / name).write_text(characters)
        assert "character-level" in fails("ptb", source=str(tmp_path / "chars"))


def test_the_real_babi_without_its_missing_file(root, real_data):
    said: list[str] = []
    fetch.get("babi", source=str(real_data / "babi"), say=said.append)
    assert said[0] == "left out (optional): en-10k/qa3_three-supporting-facts_train.txt is missing"
    assert len(list((root / "babi").rglob("*.txt"))) == 79
    with pytest.raises(MemlmError, match="can't be trained on as it is"):
        fetch.split_files("babi")


def test_the_head_of_text8_is_recognised(root, real_data):
    head = real_data / "text8/text8.head.gz"
    message = fails("text8", source=str(head))
    assert "only the first 6,877,825 bytes of text8" in message
