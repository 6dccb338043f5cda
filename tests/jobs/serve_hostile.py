#!/usr/bin/env python3
"""Thousands of requests that no client would send, as raw bytes to a robin-dist server: heads and
bodies cut off, with bytes changed, lengths that lie, chunks that are none, huge and endless heads,
several requests at once, connections that end in every way. What the server does say must be HTTP
and no failure of its own; between them and at the end it answers a good request as it did at the
beginning, and holds nothing back.

usage: serve_hostile.py URL PID PICTURE COUNT SEED
"""
import base64
import http.client
import json
import random
import socket
import struct
import sys
import time
import urllib.parse

url, pid = urllib.parse.urlparse(sys.argv[1]), int(sys.argv[2])
picture = base64.b64encode(open(sys.argv[3], "rb").read()).decode()
count, draw = int(sys.argv[4]), random.Random(int(sys.argv[5]))
seen = {}


def good_body(**more):
    content = [{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + picture}},
               {"type": "text", "text": "Generate scene graph for given regions."}]
    return json.dumps({"model": "robin", "messages": [{"role": "user", "content": content}],
                       "regions": [{"box": [1, 1, 30, 30]}], "max_tokens": 3, **more}).encode()


def head(method=b"POST", path=b"/v1/chat/completions", version=b"HTTP/1.1", lines=()):
    return b"\r\n".join([method + b" " + path + b" " + version, b"Host: x", *lines, b"", b""])


def post(body, *lines):
    return head(lines=[b"Content-Length: %d" % len(body), *lines]) + body


def noise(most):
    return draw.randbytes(draw.randrange(1, most))


def changed(data, most=8):
    data = bytearray(data)
    for _ in range(draw.randrange(1, most)):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(4)
        if kind == 0 and at < len(data):
            likely = draw.random() < .7
            data[at] = draw.choice(b"\0\r\n :\xff%/\"{}[],\\\t;") if likely else draw.randrange(256)
        elif kind == 1:
            data[at:at] = draw.choice([b"\0", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" " * 99,
                                       noise(20)])
        elif kind == 2:
            del data[at:at + draw.randrange(1, 20)]
        else:
            data[at:at] = data[at:at + draw.randrange(1, 60)]
    return bytes(data)


def lying_length():
    body = good_body()[:draw.randrange(1, 400)]
    value = draw.choice([b"-1", b"", b"0", b"1e3", b"0x10", b"99999999999999999999999", b"1, 2",
                         b"+5", b" ", b"18446744073709551615", b"9223372036854775808", b"5\0",
                         b"%d" % (len(body) + draw.randrange(-9, 9)), b"\xff"])
    lines = [b"Content-Length: " + value]
    if draw.random() < .3:
        lines.append(b"Content-Length: %d" % len(body))
    if draw.random() < .2:
        lines.append(b"Transfer-Encoding: chunked")
    return head(lines=lines) + body


def chunks():
    body, out = good_body()[:draw.randrange(1, 600)], b""
    while body:
        n = draw.randrange(1, 200)
        size = draw.choice([b"%x" % len(body[:n])] * 6 + [
            b"ffffffffffffffff", b"-1", b"zz", b"", b"0" * 99, b"8" * 40, b"%x;a=b" % n,
            b"%x;" % n + b"e" * 3000, b"\0"])
        out += size + draw.choice([b"\r\n"] * 8 + [b"\n", b"\r", b""])
        out += body[:n] + draw.choice([b"\r\n"] * 8 + [b"", b"x"])
        body = body[n:]
    out += draw.choice([b"0\r\n\r\n", b"", b"0\r\nTrailer: x\r\n\r\n",
                        b"0\r\n" + b"T: y\r\n" * 500 + b"\r\n"])
    coding = draw.choice([b"chunked"] * 5 + [b"gzip, chunked", b"chunked, chunked", b"x"])
    return head(lines=[b"Transfer-Encoding: " + coding]) + out


def huge():
    size = draw.choice([100, 5000, 70000, 300000])
    return draw.choice([
        lambda: head(b"GET", b"/" + b"a" * size),
        lambda: head(b"GET", b"/health", lines=[b"X: " + b"b" * size]),
        lambda: head(b"GET", b"/health", lines=[b"c" * size + b": 1"]),
        lambda: head(b"GET", b"/health", lines=[b"X-%d: 1" % i for i in range(size // 20)]),
        lambda: head(b"g" * size, b"/health"),
        lambda: head(b"GET", b"/health?" + b"a=b&" * (size // 4)),
        lambda: head(b"GET", b"/health", lines=[b"Cookie: " + b"a=b; " * (size // 5)]),
        lambda: post(b"[" * size),
        lambda: post(b'{"model":"' + b"m" * size + b'"}'),
        lambda: post(b" " * 1200000),  # more than the server takes
    ])()


def strange():
    return draw.choice([
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise(300), noise(2000), b"\0" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n" * 2000, b"GET /health\r\n\r\n",
        head(b"GET", b"/health", b"HTTP/9.9"), head(b"GET", b"/health", b"HTTP/1.0"),
        head(b"get", b"/health"), head(b"OPTIONS", b"*"), head(b"CONNECT", b"a:1"),
        head(b"GET", b"http://x/health"), head(b"GET", b"/%00/..%2f../etc/passwd"),
        head(b"GET", b"/v1/models/%ff%"), head(b"DELETE"), head(b"HEAD", b"/health"),
        head(b"GET", b"/health", lines=[b" folded: 1", b"\tmore"]),
        head(b"GET", b"/health", lines=[b": none", b"no colon"]),
        head(lines=[b"Expect: 100-continue", b"Content-Length: 10"]),
        head(lines=[b"Upgrade: h2c", b"Connection: Upgrade"]),
        head(lines=[b"Content-Encoding: gzip", b"Content-Length: 3"]) + b"abc"])


def hostile():
    whole = draw.choice([lambda: post(good_body()), lambda: post(good_body(stream=True)),
                         lambda: head(b"GET", b"/health"), lambda: head(b"GET", b"/v1/models"),
                         lambda: post(changed(good_body()))])
    several = [whole, strange, lying_length]
    return draw.choice([
        lambda: whole()[:draw.randrange(1, 900)], lambda: changed(whole()), lying_length, chunks,
        huge, strange, lambda: whole() + noise(100),
        lambda: b"".join(draw.choice(several)() for _ in range(draw.randrange(2, 6))),
        lambda: changed(whole()[:draw.randrange(20, 300)], 40)])()


def attack():
    data = hostile()
    peer = socket.create_connection((url.hostname, url.port), timeout=30)
    peer.settimeout(0.02)
    try:
        step = max(1, len(data)) if draw.random() < .8 else draw.randrange(1, len(data) // 5 + 2)
        for at in range(0, len(data), step):
            peer.sendall(data[at:at + step])
        end = draw.randrange(4)
        if end == 0:
            peer.shutdown(socket.SHUT_WR)
        if end == 1:  # as if the machine had gone
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end >= 2 or draw.random() < .5:
            reply = peer.recv(1 << 16)
            if reply:
                assert reply.startswith(b"HTTP/1."), (data[:200], reply[:200])
                code = int(reply.split(b" ", 2)[1])
                assert code != 500, (data[:400], reply[:400])
                seen[code] = seen.get(code, 0) + 1
    except (TimeoutError, OSError):
        pass  # nothing to be said, or the server has closed
    peer.close()


def ask(method, path, body=None):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request(method, path, body)
    reply = connection.getresponse()
    assert reply.status == 200, (reply.status, reply.read())
    answer = json.loads(reply.read())
    connection.close()
    return answer


def good_answer():
    return ask("POST", "/v1/chat/completions", good_body())["choices"]


def memory_mb():
    return next(int(line.split()[1]) / 1024 for line in open(f"/proc/{pid}/status")
                if line.startswith("VmRSS"))


first, memory = good_answer(), 0
for i in range(count):
    attack()
    if i % 100 == 99:
        ask("GET", "/health")
    if i % 500 == 499:
        assert good_answer() == first, i
        memory = memory or memory_mb()
begun = time.monotonic()
while ask("GET", "/health")["requests"]["open"] > 0:
    assert time.monotonic() - begun < 30, "requests of clients that have gone are still held"
    time.sleep(0.05)
assert good_answer() == first
assert len(seen) >= 5 and seen.get(400) and seen.get(200), seen
print(f"{count} hostile requests: answered {dict(sorted(seen.items()))}; memory {memory:.0f} MB "
      f"after 500, {memory_mb():.0f} MB after all")
