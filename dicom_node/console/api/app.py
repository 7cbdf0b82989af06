"""Routes of the API, and its errors as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dicom_node.console.access.people import Role
from dicom_node.console.api.answers import Problem, Ready
from dicom_node.console.api.bearer import caller_of, has_token
from dicom_node.console.api.openapi import document
from dicom_node.console.api.operations import OPERATIONS, Asked, Operation
from dicom_node.console.api.queries import Query
from dicom_node.console.context import Console, console_of
from dicom_node.errors import Busy
from dicom_node.logs import log
from storage.errors import StorageError


def make_api(console: Console) -> Starlette:
    """Make the application that answers below ``/api/v1``."""
    api = Starlette(
        routes=[
            Route("/openapi.json", openapi, methods=["GET"]),
            *(Route(one.path, _endpoint(one), methods=["GET"]) for one in OPERATIONS),
        ],
        exception_handlers={
            HTTPException: _refused,
            StorageError: _not_now,
            Busy: _not_now,
            OSError: _not_now,
            Exception: _failed,
        },
    )
    api.state.console = console
    return api


def openapi(request: Request) -> Response:
    """Give the document that describes the API; it is the same for everybody."""
    return JSONResponse(document())


def _endpoint(operation: Operation) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        is_known = operation.role is not None or has_token(request)
        if is_known:
            caller_of(request, operation.role or Role.VIEWER)
        asked = Asked(
            console=console_of(request),
            path=request.path_params,
            query=_query(operation.query, request),
        )
        return _answered(operation, operation.act(asked), is_known=is_known)

    return endpoint


def _answered(operation: Operation, answer: Any, *, is_known: bool) -> Response:  # noqa: ANN401  # of the operation's type
    status = HTTPStatus.OK
    if isinstance(answer, Ready) and not answer.ready:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        answer = answer if is_known else Ready(ready=False, reason="")
    content = _adapter(operation.answer).dump_json(answer)
    return Response(content, status, media_type="application/json")


@lru_cache
def _adapter(answer: type) -> TypeAdapter[Any]:
    return TypeAdapter(answer)


def _query(wanted: type[Query], request: Request) -> Query:
    """Read the parameters of a request.

    Raises
    ------
    HTTPException
        With the name of the first that is not known, or has a value that is none.
    """
    given = request.query_params.multi_items()
    if len(given) != len(dict(given)):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "a parameter is given twice")
    try:
        return wanted.model_validate(dict(given))
    except ValidationError as error:
        name = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))[:64]
        text = f"{name}: not a parameter of this, or not a value of it"
        raise HTTPException(HTTPStatus.BAD_REQUEST, text) from None


async def _refused(request: Request, fault: Exception) -> Response:
    refused = cast(HTTPException, fault)
    return _problem(refused.status_code, str(refused.detail), refused.headers)


async def _not_now(request: Request, fault: Exception) -> Response:
    text = fault.strerror or "" if isinstance(fault, OSError) else str(fault)
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, text)


async def _failed(request: Request, fault: Exception) -> Response:
    log.error("console_page_failed", path="/api/v1", exc_info=fault)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this could not be made; the log says why")


def _problem(status: int, detail: str, headers: Any = None) -> Response:  # noqa: ANN401  # of an HTTPException
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    content = _adapter(Problem).dump_json(problem)
    return Response(content, status, headers, media_type="application/problem+json")
