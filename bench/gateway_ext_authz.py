"""A decision for Envoy over gRPC (`envoy.service.auth.v3.Authorization`), with the body: the same table as in
`gateway_authz.py`, on grpcio's threads, which took less processor time here than its asyncio server.

Run with a port."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped] # it has no types, as those below
from envoy.service.auth.v3 import external_auth_pb2 as auth  # type: ignore[import-not-found]
from envoy.service.auth.v3 import external_auth_pb2_grpc as services
from gateway_authz import allowed
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]


class Authorization(services.AuthorizationServicer):  # type: ignore[misc] # as above
    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 -- gRPC's own name
        http = request.attributes.request.http
        may = allowed(http.headers.get("authorization", ""), http.raw_body or http.body.encode())
        code = code_pb2.OK if may else code_pb2.PERMISSION_DENIED
        return auth.CheckResponse(status=status_pb2.Status(code=code))


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(4))
    services.add_AuthorizationServicer_to_server(Authorization(), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
