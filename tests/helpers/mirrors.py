"""Getting datasets from a server on this machine: a toy dataset, and a mirror of it that misbehaves as it is told."""

import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from memlm.data.catalog import datasets
from memlm.data.catalog.entries import DataFile, Dataset
from memlm.data.fetch import get
from memlm.data.storage import data_root
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
    "gzipped": gzip.compress,
    "half": lambda body: body if len(body) > 100 else b"",  # only the train file is there
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
    return lambda dataset: monkeypatch.setitem(datasets.CATALOG, dataset.name, dataset)


@pytest.fixture
def root(tmp_path, monkeypatch, add):
    """The data folder, not there yet; `toy` is known, and no mirror of it can be reached."""
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "root"))
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
    """`asked` holds the paths in order; those under `gated/` are served once `gate` is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Mirror)
        self.asked: list[str] = []
        self.files = dict(TEXTS)
        self.gate, self.closing = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Mirror(BaseHTTPRequestHandler):
    """The first part of the path says how to misbehave."""

    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        how, _, name = self.path.strip("/").partition("/")
        whole = self.server.files.get(name, b"")
        if how == "gated":
            self.server.gate.wait(60)
        if odd := getattr(self, f"be_{how}", None):
            odd(whole)
        else:
            self.answer(how, name, whole)
        self.close_connection = True

    def answer(self, how: str, name: str, whole: bytes) -> None:
        body = BODIES.get(how, bytes)(whole)
        places = {"redirect": f"/good/{name}", "loop": self.path, "away": "file:///etc/passwd", "bad": "http://[/"}
        status = 302 if how in places else int(how) if how.isdigit() else 200 if body else 404
        self.send_response(status)
        if how in places:
            self.send_header("Location", places[how])
        if how == "gzipped":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(whole if how == "dropped" else body)))
        self.end_headers()
        self.wfile.write(body)

    def be_silent(self, whole: bytes) -> None:
        """Take the question, and never say a word."""
        self.server.closing.wait(60)

    def be_gone(self, whole: bytes) -> None:
        """Hang up."""

    def be_garbage(self, whole: bytes) -> None:
        """Speak no HTTP."""
        self.wfile.write(b"\xff\0 what?\r\n\r\n" + whole)

    def be_cut(self, whole: bytes) -> None:
        """Hang up between two chunks of a body whose length was not said."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n" + whole[:4] + b"\r\n")

    def be_trickling(self, whole: bytes) -> None:
        """Send a little, and a little more, and more."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        with suppress(OSError):
            for i in range(0, len(whole), 50):
                self.wfile.write(whole[i : i + 50])
                if self.server.closing.wait(0.01):
                    return

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.gate.set()
        running.closing.set()
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
    assert all(result.ok for result in get.verify("toy"))


def fails(name: str, **kwargs: Any) -> str:
    """The message of a get that must fail: one line, and nothing is left of the attempt."""
    before = sorted(data_root().rglob("*"))
    with pytest.raises(MemlmError) as caught:
        get.get_dataset(name, **kwargs)
    assert "\n" not in str(caught.value)
    assert sorted(data_root().rglob("*")) == before
    return str(caught.value)
