"""Requests that a proxy could read in another way are refused; ordinary ones are read as h11 reads them."""

import h11
import pytest

from server.http.framing import MAX_HEAD_BYTES, StrictConnection

HOST = b"Host: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def events(sent: bytes, piece: int | None = None) -> list[h11.Event]:
    """Return the events of the first request in `sent`, which arrives in pieces of at least a size."""
    connection = StrictConnection()
    found: list[h11.Event] = []
    size = max(piece, len(sent) // 2000) if piece else len(sent)
    for at in range(0, len(sent), size):
        connection.receive_data(sent[at : at + size])
        while isinstance(event := connection.next_event(), h11.Event):
            found.append(event)
    return found


def body(sent: bytes, piece: int | None = None) -> bytes:
    """Return the body of a complete request."""
    found = events(sent, piece)
    assert isinstance(found[0], h11.Request)
    assert isinstance(found[-1], h11.EndOfMessage)
    return b"".join(event.data for event in found if isinstance(event, h11.Data))


def code_of_refusal(sent: bytes, piece: int | None = None) -> int:
    """Return the status of the refusal of a request; 200 if it was not refused."""
    try:
        events(sent, piece)
    except h11.RemoteProtocolError as error:
        return error.error_status_hint
    return 200


HEADS = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "one length twice": b"Content-Length: 5\r\ncontent-length: 5\r\n",
    "one length twice in a field": b"Content-Length: 5, 5\r\n",
    "a signed length": b"Content-Length: +5\r\n",
    "a negative length": b"Content-Length: -5\r\n",
    "a length in hexadecimal": b"Content-Length: 0x5\r\n",
    "a length with an underscore": b"Content-Length: 1_0\r\n",
    "an empty length": b"Content-Length:\r\n",
    "a huge length": b"Content-Length: 99999999999999999999999\r\n",
    "a vertical tab before chunked": b"Transfer-Encoding: \x0bchunked\r\n",
    "a folded field": b"X: a\r\n b\r\n",
    "a folded transfer coding": b"Transfer-Encoding:\r\n chunked\r\n",
    "a folded first field": b" X: a\r\n",
    "a space before the colon": b"Content-Length : 5\r\n",
    "a tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "a field without a name": b": a\r\n",
    "a line without a colon": b"nonsense\r\n",
    "NUL": b"X: a\0b\r\n",
    "a bare CR": b"X: a\rContent-Length: 5\r\n",
    "a bare CR at the start": b"X:\r\r\n",
    "an escape": b"X: \x1b[2J\r\n",
    "delete": b"X: a\x7fb\r\n",
    "a bare LF": b"X: a\nY: b\r\n",
    "a bare LF before the end": b"X: a\r\n\n",
    "two hosts": b"Host: y\r\n",
}


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize("name", HEADS)
def test_an_ambiguous_head_is_400(name: str, piece: int | None) -> None:
    head = b"POST / HTTP/1.1\r\n%s%s\r\n" % (HOST, HEADS[name])
    assert code_of_refusal(head, piece) == 400


@pytest.mark.parametrize(
    "coding", [b"gzip", b"chunked, gzip", b"gzip, chunked", b"identity", b"xchunked", b'"chunked"']
)
def test_another_transfer_coding_is_refused(coding: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n%sTransfer-Encoding: %s\r\n\r\n" % (HOST, coding)
    assert code_of_refusal(head) == 501


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize(
    "line",
    [
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / http/1.1",
        b"GET / HTTP/11",
        b"GET\t/ HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET http%3A//y/ HTTP/1.1",
        b"GET y:80 HTTP/1.1",
        b"CONNECT y:80 HTTP/1.1",
        b"GET ftp://y/ HTTP/1.1",
        b"GET *a HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_a_malformed_request_line_is_400(line: bytes, piece: int | None) -> None:
    assert code_of_refusal(line + b"\r\n" + HOST + b"\r\n", piece) == 400


@pytest.mark.parametrize("version", [b"0.9", b"2.0", b"3.1"])
def test_another_major_version_is_505(version: bytes) -> None:
    assert code_of_refusal(b"GET / HTTP/%s\r\n%s\r\n" % (version, HOST)) == 505
    assert code_of_refusal(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


def test_http_10_has_no_transfer_encoding_and_needs_no_host() -> None:
    assert code_of_refusal(CHUNKED.replace(b"1.1", b"1.0")) == 400
    assert code_of_refusal(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert code_of_refusal(b"GET / HTTP/1.0\r\n\r\n") == 200


@pytest.mark.parametrize("piece", [None, 1000])
@pytest.mark.parametrize("long", [b"/" + b"a" * MAX_HEAD_BYTES, b"/"])
def test_a_long_head_is_431(long: bytes, piece: int | None) -> None:
    fields = b"x: y\r\n" * (MAX_HEAD_BYTES // 6)
    assert code_of_refusal(b"GET " + long + b" HTTP/1.1\r\n" + HOST + fields, piece) == 431
    assert code_of_refusal(b"GET / HTTP/1.1\r\n" + HOST + fields[:-600] + b"\r\n", piece) == 200


@pytest.mark.parametrize("piece", [None, 1, 7])
def test_ordinary_requests_are_read(piece: int | None) -> None:
    for target in (b"/", b"/a?b=c%20d", b"*", b"http://y/a", b"HTTPS://y"):
        head = b"OPTIONS %s HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" % target
        assert body(head + b"X: \xc3\xa9\ta b\r\nempty:\r\n\r\n\n\n\n", piece) == b"\n\n\n"
    assert body(b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", piece) == b""
    assert code_of_refusal(b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", piece) == 400


@pytest.mark.parametrize("piece", [None, 1, 2, 3, 5])
def test_chunks_are_joined(piece: int | None) -> None:
    chunks = b'3\r\nabc\r\n00a;x=y; z\r\n0123456789\r\n1;q="\xe9"\r\n\n\r\n0;end\r\n'
    assert body(CHUNKED + chunks + b"\r\n", piece) == b"abc0123456789\n"
    assert body(CHUNKED + chunks + b"Trailer: 1\r\n\r\n", piece) == b"abc0123456789\n"


def test_many_small_chunks_are_one_event() -> None:
    found = events(CHUNKED + b"1\r\na\r\n" * 10_000 + b"0\r\n\r\n")
    assert [type(event) for event in found] == [h11.Request, h11.Data, h11.EndOfMessage]


CHUNKS = {
    "no size": b"\r\n",
    "not a size": b"ZZ\r\nhello\r\n",
    "a signed size": b"+5\r\nhello\r\n",
    "a prefix": b"0x5\r\nhello\r\n",
    "a huge size": b"00000000000000005\r\nhello\r\n",
    "a space after the size": b"5 \r\nhello\r\n",
    "a bare LF": b"5\nhello\r\n",
    "a bare LF in the extension": b"5;\nhello\r\n",
    "a bare CR in the extension": b"5;\rhello\r\n",
    "NUL in the extension": b"5;\0\r\nhello\r\n",
    "too much data": b"5\r\nhelloo\r\n",
    "LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "a long extension": b"5;" + b"a" * 5000 + b"\r\nhello\r\n",
    "an endless extension": b"5;" + b"a" * 5000,
    "many extensions": (b"1;" + b"a" * 100 + b"\r\nx\r\n") * 1000,
    "a folded trailer": b"0\r\n a: b\r\n\r\n",
    "a bare LF in the trailer": b"0\r\na: b\n\r\n",
    "a long trailer": b"0\r\n" + b"a: b\r\n" * 12_000,
}


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks_are_refused(name: str, piece: int | None) -> None:
    assert code_of_refusal(CHUNKED + CHUNKS[name], piece) in (400, 431)


def test_the_start_of_an_answer_is_sent_once() -> None:
    connection = StrictConnection()
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.next_event()
    sent = connection.begin_answer()
    sent += connection.send(h11.Response(status_code=200, headers=[("content-length", "0")])) or b""
    sent += connection.send(h11.EndOfMessage()) or b""
    assert sent == b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"
