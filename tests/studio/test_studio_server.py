"""The server of the studio over real HTTP: what it answers, and what it refuses."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from groovae.errors import GroovaeError
from groovae.studio.models import MAX_WAITING, Models
from groovae.studio.server import MAX_BODY_BYTES, MAX_KEPT_FILES, STATIC, StudioServer
from groovae.system.local_server import MAX_CONNECTIONS

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def server() -> Iterator[StudioServer]:
    """A server with the bundled models; its log is in `server.lines`."""
    lines: list[str] = []
    with StudioServer(Models(), log=lines.append) as server:
        server.__dict__["lines"] = lines
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: StudioServer, path: str, body: Any = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """Request a path below the token, by POST if there is a body."""
    url = urlsplit(server.url)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    method = "GET" if body is None else "POST"
    connection.request(method, f"{url.path}{path}", content, names)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response, answer


def call(server: StudioServer, name: str, **arguments: Any) -> dict[str, Any]:
    response, content = ask(server, f"api/{name}", arguments)
    assert response.status == 200, content
    return json.loads(content)


@pytest.fixture(scope="module")
def groove(server: StudioServer) -> dict[str, Any]:
    return call(server, "sample", seed=5, styles={"funk": 1})["grooves"][0]


def test_about_lists_the_models_of_the_tasks(server: StudioServer) -> None:
    about = json.loads(ask(server, "api/about")[1])
    assert about["tasks"]["sample"] == {
        "model": "groovae_4bar",
        "config": "groovae_4bar",
        "licence": "cc-by-4.0",
        "bundled": True,
    }
    assert {"vary", "humanize", "interpolate", "tap2drum", "add_hihat", "transfer", "map"} <= about[
        "tasks"
    ].keys()
    assert "funk" in about["styles"]
    assert about["drums"][1] == {"name": "snare", "pitch": 38}


def test_tasks_return_grooves_and_repeat_with_their_seed(
    server: StudioServer, groove: dict[str, Any]
) -> None:
    requests: list[tuple[str, dict[str, Any], int]] = [
        ("sample", {"bars": 6, "num_outputs": 2, "tempo_qpm": 96}, 2),
        ("sample", {"bars": 6, "styles": {"funk": 2, "jazz": 1, "rock": 0}, "density": 0.8}, 1),
        ("vary", {"groove": groove, "num_outputs": 3}, 3),
        ("vary", {"groove": groove, "less": "density"}, 1),
        ("humanize", {"groove": groove}, 1),
        ("add_hihat", {"groove": groove}, 1),
        ("tap2drum", {"groove": groove}, 1),
        ("transfer", {"groove": groove, "feel": groove}, 1),
        ("infill", {"groove": groove, "bars": [3, 4], "drums": [2, 3]}, 1),
        ("continue", {"groove": groove, "bars": 2}, 1),
        ("fill", {"groove": groove}, 1),
        ("decode", {"x": 0.1, "y": -0.2, "bars": 6}, 1),
        ("interpolate", {"start": groove, "end": groove, "num_steps": 3}, 3),
    ]
    for name, arguments, count in requests:
        first, second = (call(server, name, **arguments, seed=3) for _ in range(2))
        assert len(first["grooves"]) == count
        assert first["grooves"] == second["grooves"]
        assert first["seed"] == 3
        for one in first["grooves"]:
            assert one["hits"]
            assert one["bars"] == (6 if name in ("sample", "continue", "decode") else 4)


def test_page_names_all_modules_and_has_the_files(server: StudioServer) -> None:
    groove = {"name": "</script><script>\ud800", "bars": 1, "hits": []}
    server.grooves.append(groove)
    page = ask(server, "")[1].decode()
    server.grooves.pop()
    start = page.partition('id="start">')[2].partition("</script>")[0]
    assert json.loads(start)["grooves"] == [groove]
    preloaded = set(re.findall('modulepreload" href="(.*?)"', page))
    assert preloaded == {path.name for path in STATIC.glob("*.js")} - {"main.js"}


def test_map_places_the_windows_by_style(server: StudioServer) -> None:
    latent_map = json.loads(ask(server, "api/map")[1])
    assert len(latent_map["points"]) == 1000
    assert latent_map["styles"][0] == "rock"
    for x, y, style in latent_map["points"]:
        assert -1 <= x <= 1
        assert -1 <= y <= 1
        assert 0 <= style < len(latent_map["styles"])


def test_amount_0_changes_nothing(server: StudioServer, groove: dict[str, Any]) -> None:
    played = call(server, "humanize", groove=groove, amount=0)["grooves"][0]
    assert played["hits"] == groove["hits"]


def test_density_asks_for_few_or_many_hits(server: StudioServer) -> None:
    few, many = (
        sum(
            len(groove["hits"])
            for groove in call(server, "sample", density=density, num_outputs=8, seed=1)["grooves"]
        )
        for density in (0.05, 0.95)
    )
    assert few < 0.7 * many


def test_humanize_keeps_the_hits(server: StudioServer, groove: dict[str, Any]) -> None:
    played = call(server, "humanize", groove=groove)["grooves"][0]
    assert sorted(hit["pitch"] for hit in played["hits"]) == sorted(
        hit["pitch"] for hit in groove["hits"]
    )


def test_midi_has_the_hits_and_the_name(server: StudioServer, groove: dict[str, Any]) -> None:
    response, midi = ask(server, "api/midi", {"groove": {**groove, "name": "드럼"}})
    assert response.headers["Content-Type"] == "audio/midi"
    assert quote("드럼.mid") in response.headers["Content-Disposition"]
    kept, same = ask(server, response.headers["Content-Location"])
    assert same == midi
    assert kept.headers["Content-Disposition"] == response.headers["Content-Disposition"]
    content = ask(server, f"api/read?name={quote('드럼.MID')}", midi)[1]
    again = json.loads(content)["grooves"][0]
    assert (again["name"], again["bars"]) == ("드럼", groove["bars"])
    for ours, theirs in zip(groove["hits"], again["hits"], strict=True):
        assert ours["beat"] == pytest.approx(theirs["beat"], abs=1 / 1920)
        assert (ours["pitch"], ours["velocity"]) == (theirs["pitch"], theirs["velocity"])


def test_last_midi_files_are_kept(server: StudioServer, groove: dict[str, Any]) -> None:
    first = ask(server, "api/midi", {"groove": groove})[0].headers["Content-Location"]
    for _ in range(MAX_KEPT_FILES - 1):
        ask(server, "api/midi", {"groove": {"bars": 1, "hits": []}})
    assert ask(server, first)[0].status == 200
    ask(server, "api/midi", {"groove": {"bars": 1, "hits": []}})
    assert ask(server, first)[0].status == 404


def test_sounds_and_wav_are_wav_files(server: StudioServer, groove: dict[str, Any]) -> None:
    pytest.importorskip("tinysoundfont")
    sounds = json.loads(ask(server, "api/sounds")[1])
    assert [sound["drum"] for sound in sounds] == list(range(9))
    response, content = ask(server, sounds[2]["layers"][3]["url"])
    assert response.headers["Content-Type"] == "audio/wav"
    assert content[:4] == b"RIFF"
    assert len(content) > 5000
    assert ask(server, "api/wav", {"groove": groove})[1][:4] == b"RIFF"


def test_pages_may_load_only_from_the_studio(server: StudioServer) -> None:
    for path in ("", "api/about", "nothing"):
        response, _ = ask(server, path)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in response.headers


# Attacks


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Content_Length": str(MAX_BODY_BYTES + 1)}, 413),
        ({"Content_Length": "-1"}, 413),
        ({"Transfer_Encoding": "chunked"}, 411),
    ],
)
def test_requests_of_others_are_refused(
    server: StudioServer, headers: dict[str, str], status: int
) -> None:
    response, content = ask(server, "api/about", **headers)
    assert response.status == status
    assert set(json.loads(content)) == {"error"}


def test_own_origin_is_answered(server: StudioServer) -> None:
    origin = server.url.removesuffix(f"/{server.token}/")
    assert ask(server, "api/about", Origin=origin, Sec_Fetch_Site="same-origin")[0].status == 200


def test_links_of_other_pages_open_the_page(server: StudioServer) -> None:
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(server, "", **link, Sec_Fetch_Dest="document")[0].status == 200
    assert ask(server, "", **link, Sec_Fetch_Dest="iframe")[0].status == 403
    assert ask(server, "api/midi", b"{}", **link, Sec_Fetch_Dest="document")[0].status == 403


@pytest.mark.parametrize(
    "path",
    [
        *(
            "//[",
            "*",
            "/",
            "/api/about",
            "/index.html",
            "//api/about",
            "/TOKEN0/api/about",
        ),
        *("/TOKEN/../api/about", "/TOKEN/../../etc/passwd", "/TOKEN/%2e%2e/server.py"),
        *("/TOKEN/..%2fserver.py", "/TOKEN/../server.py", "/TOKEN/__init__.py", "/TOKEN/static/"),
        *("/TOKEN//etc/passwd", "/TOKEN/%00", "/TOKEN/index.html%00", "/TOKEN/.hidden"),
        *("/TOKEN/api/midi", "/TOKEN/api/midi/", "/TOKEN/api/midi/none"),
        *("/TOKEN/api/", "/TOKEN/api/../about", "/TOKEN/api/sounds/9-0.wav"),
        *("/TOKEN/api/sounds/0-0.wav/..", "/TOKEN/api/sample", "/TOKEN/" + "a/" * 3000),
    ],
)
def test_other_paths_say_nothing(server: StudioServer, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.request("GET", path.replace("TOKEN", server.token))
    response = connection.getresponse()
    assert (response.status, response.read()) == (404, b'{"error": "Not Found"}\n')


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "WHAT"])
def test_other_methods_are_refused(server: StudioServer, method: str) -> None:
    url = urlsplit(server.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.request(method, f"{url.path}api/about")
    assert connection.getresponse().status in (405, 501)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("sample", b"", 400),
        ("sample", b"{", 400),
        ("sample", b"[]", 400),
        ("sample", b"\xff\xfe", 400),
        ("sample", b"[" * 100_000, 400),
        ("sample", b'{"temperature": NaN}', 400),
        ("sample", b'{"temperature": 1e999}', 400),
        ("sample", b'{"temperature": -1}', 400),
        ("sample", b'{"bars": 65}', 400),
        ("sample", b'{"bars": true}', 400),
        ("sample", b'{"num_outputs": 64, "bars": 64}', 413),
        ("sample", b'{"seed": -1}', 400),
        ("sample", b'{"styles": {"no such": 1}}', 400),
        ("sample", b'{"styles": {"funk": -1}}', 400),
        ("sample", b'{"styles": {"\\ud800": 1}}', 400),
        ("midi", b'{"groove": {"bars": 1, "hits": [], "name": ["\\ud800"]}}', 400),
        ("sample", b'{"styles": ["funk"]}', 400),
        ("sample", b'{"temprature": 1}', 400),
        ("vary", b'{"groove": {"bars": 1e9}}', 400),
        ("vary", b"{}", 400),
        ("decode", b'{"x": 5}', 400),
        ("sample", b'{"density": 2}', 400),
        ("vary", b'{"groove": {"bars": 1, "hits": []}, "more": []}', 400),
        ("vary", b'{"groove": {"bars": 1, "hits": []}, "more": "x", "less": "y"}', 400),
        ("infill", b'{"groove": {"bars": 1, "hits": []}, "bars": [1, 1]}', 400),
        ("infill", b'{"groove": {"bars": 1, "hits": []}, "bars": [1, NaN]}', 400),
        ("infill", b'{"groove": {"bars": 1, "hits": []}, "bars": {"a": 1}}', 400),
        ("infill", b'{"groove": {"bars": 1, "hits": []}, "drums": [[]]}', 400),
        ("humanize", b'{"groove": {"bars": 1, "hits": []}, "keep": []}', 400),
        ("midi", b'{"groove": {"bars": 1, "hits": "x"}}', 400),
        ("wav", b'{"groove": {"bars": 2000, "hits": [], "tempos": [[0, 4]]}}', 413),
        ("read", b"MThd", 400),
        ("read", b"", 400),
        ("read", b"MThd" * 500_001, 413),
        ("nothing", b"{}", 404),
        ("__init__", b"{}", 404),
    ],
)
def test_wrong_bodies_are_refused(
    server: StudioServer, name: str, body: bytes, status: int
) -> None:
    response, content = ask(server, f"api/{name}", body)
    assert response.status == status, content
    error = json.loads(content)["error"]
    assert "\n" not in error
    assert len(error) < 500


def test_second_studio_takes_another_port(server: StudioServer) -> None:
    with (
        StudioServer(server.models, None) as first,
        StudioServer(server.models, None) as second,
    ):
        ports = [one.server_address[1] for one in (server, first, second)]
        assert len(set(ports)) == 3
        with pytest.raises(GroovaeError, match=str(ports[2])):
            StudioServer(server.models, ports[2])


def test_many_connections_leave_it_serving(server: StudioServer) -> None:
    address = "127.0.0.1", server.server_address[1]
    held = [socket.create_connection(address, timeout=20) for _ in range(MAX_CONNECTIONS)]
    wait_until(lambda: len(server.deadlines) == MAX_CONNECTIONS)
    for _ in range(1000 - MAX_CONNECTIONS):
        with socket.create_connection(address, timeout=20) as connection:
            assert connection.recv(12) == b"HTTP/1.1 503"
    for connection in held:
        connection.close()
    wait_until(lambda: not server.deadlines)
    assert ask(server, "api/about")[0].status == 200


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited for half a minute")


def test_too_many_waiting_requests_are_refused(server: StudioServer) -> None:
    places = server.models._places
    for _ in range(MAX_WAITING):
        places.acquire()
    refused = ask(server, "api/sample", {})[0].status
    places.release(MAX_WAITING)
    assert refused == 429
    assert ask(server, "api/sample", {})[0].status == 200


def test_url_without_the_last_slash_is_redirected(server: StudioServer) -> None:
    url = urlsplit(server.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.request("GET", url.path.rstrip("/"))
    response = connection.getresponse()
    assert (response.status, response.headers["Location"]) == (308, url.path)


def test_no_failure_was_unexpected(server: StudioServer) -> None:
    assert not [line for line in server.__dict__["lines"] if "unexpected" in line]
