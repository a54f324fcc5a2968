"""WikiText (Merity et al. 2016, arXiv:1609.07843) for the catalogue, in its tokenised form.

The raw form, wikitext-*-raw-v1, is a different text: it keeps rare words and is not tokenised. The published numbers
of tokens agree with those of memlm: words and one `<eos>` per line, empty lines included.

The original host, research.metamind.io, is down; it is the last mirror in case it comes back. No mirror could be
reached when this was written. Valid and test of WikiText-2 were available: their sha1 are those that GluonNLP
publishes for the original files (gluonnlp/data/corpora/wikitext.py), and their counts and sha256 were computed. The
other facts were not verified here: sha1 are from GluonNLP, tokens from the authors, and lines from torchtext.
"""

from memlm.data.catalog.entries import DataFile, Dataset

_MIRRORS = (
    "https://wikitext.smerity.com",  # of the first author
    "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/{name}",
    "https://s3.amazonaws.com/research.metamind.io/wikitext",
)
_RAW = "the raw form of WikiText; the tokenised one is needed: wiki.*.tokens, from wikitext-*-v1.zip without `raw`"


def _dataset(name: str, about: str, files: tuple[DataFile, ...], *more_mirrors: str) -> Dataset:
    return Dataset(
        name=name,
        title=f"{name.replace('wikitext', 'WikiText')}, tokenised",
        about=about,
        licence="text of Wikipedia, CC BY-SA 3.0",
        homepage="https://arxiv.org/abs/1609.07843",
        mirrors=(*(f"{base.format(name=name)}/{name}-v1.zip" for base in _MIRRORS), *more_mirrors),
        files=files,
        lookalikes=(("*.raw", _RAW), ("*-raw-v1*", _RAW)),
    )


WIKITEXT_2 = _dataset(
    "wikitext-2",
    "good and featured articles of Wikipedia, 720 of them: <unk> for rare words, 33,278 types",
    (
        DataFile(
            path="wiki.train.tokens",
            split="train",
            sha1="863f29c46ef9d167fff4940ec821195882fe29d1",
            lines=36_718,
            tokens=2_088_628,
        ),
        DataFile(
            path="wiki.valid.tokens",
            split="valid",
            sha256="f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
            sha1="0418625c8b4da6e4b5c7a0b9e78d4ae8f7ee5422",
            size=1_121_681,
            lines=3_760,
            tokens=217_646,
            types=13_777,
        ),
        DataFile(
            path="wiki.test.tokens",
            split="test",
            sha256="d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
            sha1="c7b8ce0aa086fb34dab808c5c49224211eb2b172",
            size=1_256_449,
            lines=4_358,
            tokens=245_569,
            types=14_143,
        ),
    ),
)

WIKITEXT_103 = _dataset(
    "wikitext-103",
    "good and featured articles of Wikipedia, 28,595 of them: <unk> for rare words, 267,735 types",
    (
        DataFile(
            path="wiki.train.tokens",
            split="train",
            sha1="b7497e2dfe77e72cfef5e3dbc61b7b53712ac211",
            lines=1_801_350,
            tokens=103_227_021,
            at_most=1 << 30,
        ),
        DataFile(
            path="wiki.valid.tokens",
            split="valid",
            sha1="c326ac59dc587676d58c422eb8a03e119582f92b",
            lines=3_760,
            tokens=217_646,
        ),
        DataFile(
            path="wiki.test.tokens",
            split="test",
            sha1="8a5befc548865cec54ed4273cf87dbbad60d1e47",
            lines=4_358,
            tokens=245_569,
        ),
    ),
    "https://dax-cdn.cdn.appdomain.cloud/dax-wikitext-103/1.0.1/wikitext-103.tar.gz",
)
