"""Getting datasets from mirrors that fail in every way there is, until a good one serves."""

import os
import time

import pytest
import requests

from memlm.data.fetch import get
from tests.helpers.mirrors import BOGUS, EXTRA, TEXTS, assert_whole, fails, tarred, toy, zipped

FAULTS = {
    "404": "HTTP 404",
    "500": "HTTP 500",
    "html": "is an HTML page",
    "wrong": "toy.train.txt is not the known file: sha256",
    "short": "toy.train.txt is not the known file: 460 bytes",
    "long": "toy.train.txt is not the known file: more than 920 bytes",
    "dropped": "connection dropped",
    "cut": "connection dropped",
    "gone": "connection dropped",
    "garbage": "connection dropped",
    "silent": "timed out",
    "chars": "is character-level text",
    "gzipped": "toy.train.txt is not UTF-8 text (byte 1)",  # taken as it was sent: nothing is inflated unchecked
    "loop": "Exceeded 30 redirects",
    "away": "No connection adapters were found for 'file:///etc/passwd'",
    "bad": "Invalid IPv6 URL",
}


@pytest.fixture
def impatient(monkeypatch):
    """A read times out soon, also on a machine that is busy."""
    monkeypatch.setattr(get, "TIMEOUT", (5.0, 0.2))


@pytest.mark.parametrize(("how", "reason"), FAULTS.items())
def test_a_bad_mirror_is_named_and_the_next_one_serves(server, root, add, impatient, how, reason):
    add(toy(f"{server.url}/{how}/"))
    message = fails("toy")
    assert reason in message
    assert f"{server.url}/{how}/" in message
    assert "memlm data get toy --from PATH" in message
    add(toy(f"{server.url}/{how}/", f"{server.url}/good/"))
    assert get.get_dataset("toy") == root / "toy"
    assert_whole(root / "toy")


def test_after_every_fault_there_is_a_good_mirror_serves(server, root, add, impatient):
    add(toy(BOGUS, *(f"{server.url}/{how}/" for how in FAULTS), f"{server.url}/good/"))
    assert get.get_dataset("toy") == root / "toy"
    assert_whole(root / "toy")
    assert {path.split("/")[1] for path in server.asked} == {*FAULTS, "good"}


def test_a_mirror_that_trickles_is_given_up(server, root, add, monkeypatch):
    monkeypatch.setattr(get, "PATIENCE", 0.0)
    monkeypatch.setattr(get, "SLOWEST", 10**12)
    add(toy(f"{server.url}/trickling/"))
    assert "less than 1000000000000 bytes a second" in fails("toy")
    monkeypatch.setattr(get, "SLOWEST", 0)
    get.get_dataset("toy")
    assert_whole(root / "toy")


def test_what_a_failed_mirror_gave_rightly_is_kept(server, root, add):
    add(toy(f"{server.url}/half/", f"{server.url}/good/"))
    get.get_dataset("toy")
    assert_whole(root / "toy")
    assert [path for path in server.asked if "train" in path] == ["/half/toy.train.txt"]


def test_a_redirect_is_followed_and_a_good_file_is_not_got_twice(server, root, add):
    add(toy(f"{server.url}/redirect/"))
    said: list[str] = []
    get.get_dataset("toy", say=said.append)
    assert_whole(root / "toy")
    assert said[0].startswith("left out (optional): more/extra.txt could not be downloaded: HTTP 404")
    server.asked.clear()
    get.get_dataset("toy", say=said.append)
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
    get.get_dataset("toy", say=said.append)
    assert_whole(root / "toy")
    # Nothing vouches for a file without a hash that came over plain http.
    assert not (root / "toy/more/extra.txt").exists()
    assert "plain http" in said[0]


@pytest.mark.parametrize(
    ("first", "last"), [("http", "http"), ("https", "http"), ("http", "https"), ("https", "https")]
)
def test_a_file_without_a_hash_needs_https_all_the_way(server, root, add, monkeypatch, first, last):
    """The scheme of a redirect's two ends is only said to be so: a server on this machine has no certificate."""
    really = requests.get

    def told(url, **kwargs):
        response = really(url, **kwargs)
        for hop, scheme in zip((*response.history, response), (first, last), strict=True):
            hop.url = hop.url.replace("http:", f"{scheme}:")
        return response

    server.files["more/extra.txt"] = EXTRA
    add(toy(f"{server.url}/redirect/"))
    monkeypatch.setattr(requests, "get", told)
    get.get_dataset("toy")
    assert (root / "toy/toy.train.txt").read_bytes() == TEXTS["toy.train.txt"]
    assert (root / "toy/more/extra.txt").exists() == ({first, last} == {"https"})


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("short", "it is damaged"),
        ("dropped", "connection dropped"),
        ("html", "toy.tar.gz is an HTML page, not the file"),
        ("wrong", "it lacks toy.train.txt"),
    ],
)
def test_a_bad_archive_is_a_failed_mirror(server, root, add, how, reason):
    whole = tarred({name: os.urandom(50_000) for name in "abc"} | TEXTS)
    server.files["toy.tar.gz"] = tarred({"other": b"text"}) if how == "wrong" else whole
    add(toy(f"{server.url}/{how}/toy.tar.gz"))
    assert reason in fails("toy")
    add(toy(f"{server.url}/{how}/toy.tar.gz", f"{server.url}/good/"))
    get.get_dataset("toy")
    assert_whole(root / "toy")


def test_the_environment_s_proxy_is_used_unless_it_says_not_to(server, root, add, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    add(toy(f"{server.url}/good/"))
    assert "cannot connect" in fails("toy")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    get.get_dataset("toy")
    assert_whole(root / "toy")
