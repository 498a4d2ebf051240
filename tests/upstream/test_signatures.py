"""What the service has signed is known, word for word, and nothing else."""

from qrelay.upstream.signatures import Signatures


def test_only_the_same_text_with_the_same_signature_is_known() -> None:
    signatures = Signatures()
    signatures.remember("text", "sig")
    assert signatures.known("text", "sig")
    for text, signature in (("text", "gis"), ("text ", "sig"), ("", "sig"), ("", "textsig"), ("tex", "tsig"), ("", "")):
        assert not signatures.known(text, signature)


def test_the_oldest_are_forgotten() -> None:
    signatures = Signatures(limit=2)
    signatures.remember("", "a")
    signatures.remember("", "b")
    signatures.remember("", "a")
    signatures.remember("", "c")
    assert [signatures.known("", name) for name in "abc"] == [True, False, True]


def test_any_text_can_be_remembered() -> None:
    signatures = Signatures()
    signatures.remember("\ud83d", "\ude00")
    assert signatures.known("\ud83d", "\ude00")
