"""What botocore's own specification says of a request to EKS or Auto Scaling: its operation, parameters, signature.

Imported only by the server of EKS, when there is one.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape, StructureShape

    from tests.servers.base import Request

_SERVICES = {"eks": "eks", "autoscaling": "autoscaling"}
_SCOPE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
_SKEW_SECONDS = 300


class Call(NamedTuple):
    """A request as the specification understands it."""

    service: str
    operation: str
    params: dict[str, Any]


class Refused(Exception):  # noqa: N818 - it is an answer
    """An answer that is an error: its status, code and message."""

    def __init__(self, status: int, code: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


class Spec:
    """Botocore's models of both services."""

    def __init__(self) -> None:
        load = Loader().load_service_model
        self._models = {name: ServiceModel(load(name, "service-2"), name) for name in _SERVICES}
        eks = self._models["eks"]
        operations = [eks.operation_model(name) for name in eks.operation_names]
        self._routes = [(o, _route(o.http["requestUri"]), o.http["method"]) for o in operations]

    def operation(self, request: Request) -> str:
        """Return the operation's name, "" where there is none such."""
        if "action" in request.query or b"Action=" in request.body:
            return dict(parse_qsl(request.body.decode())).get("Action", "")
        found = self._found(request)
        return found[0].name if found else ""

    def call(self, request: Request) -> Call:
        """Return the request's parameters; raises Refused where the specification has not these."""
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
            model = self._models["autoscaling"]
            if form.get("Action") not in model.operation_names or form.get("Version") != model.api_version:
                raise Refused(400, "InvalidAction", f"Could not find operation {form.get('Action')}")
            operation = model.operation_model(form["Action"])
            params = {} if operation.input_shape is None else _from_form(operation.input_shape, form)
            return self._checked("autoscaling", operation, params, "ValidationError")
        found = self._found(request)
        if not found:
            raise Refused(404, "NotFoundException", f"there is no {request.method} {request.path}")
        operation, path = found
        return self._checked("eks", operation, _from_rest(operation, request, path), "InvalidParameterException")

    def _found(self, request: Request) -> tuple[OperationModel, dict[str, str]] | None:
        for operation, route, method in self._routes:
            match = route.fullmatch(request.path)
            if match and method == request.method:
                return operation, {name: unquote(value) for name, value in match.groupdict().items()}
        return None

    @staticmethod
    def _checked(service: str, operation: OperationModel, params: dict[str, Any], code: str) -> Call:
        if operation.input_shape is not None:
            report = ParamValidator().validate(params, operation.input_shape)
            if report.has_errors():
                raise Refused(400, code, report.generate_report())
        return Call(service, operation.name, params)


def verify(request: Request, key: str, secret: str, region: str) -> None:
    """Make the signature anew; raises Refused, as AWS does, where it is not the same."""
    rest = not request.body.startswith(b"Action=")
    found = _SCOPE.fullmatch(request.headers.get("authorization", ""))
    if not found:
        raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    said_key, day, said_region, service, signed, signature = found.groups()
    stamp = request.headers.get("x-amz-date", "")
    if said_key != key:
        code = "UnrecognizedClientException" if rest else "InvalidClientTokenId"
        raise Refused(403, code, "The security token included in the request is invalid.")
    headers = {name: request.headers[name] for name in signed.split(";")}
    # EKS' and Auto Scaling's queries name nothing twice.
    query = {name: values[0] for name, values in request.query.items()}
    again = AWSRequest(request.method, f"http://{headers['host']}{request.path}", headers, request.body, query)
    again.context["timestamp"] = stamp
    auth = SigV4Auth(Credentials(key, secret), service, region)
    mine = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    mismatch = "InvalidSignatureException" if rest else "SignatureDoesNotMatch"
    if (said_region, service) != (region, "eks" if rest else "autoscaling") or not hmac.compare_digest(mine, signature):
        raise Refused(403, mismatch, "The request signature we calculated does not match the signature you provided.")
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if day != stamp[:8] or abs((datetime.now(UTC) - at).total_seconds()) > _SKEW_SECONDS:
        raise Refused(403, mismatch, f"Signature expired: {stamp}")


def _route(uri: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", uri))


def _from_rest(operation: OperationModel, request: Request, path: dict[str, str]) -> dict[str, Any]:
    shape = operation.input_shape
    members = {} if shape is None else shape.members
    params: dict[str, Any] = {}
    # What stands nowhere in the specification stays in, for the validator to name it.
    places: dict[str, dict[str, Any]] = {"uri": path, "querystring": dict(request.query), "": {}}
    places[""] = request.json if request.body else {}
    for name, member in members.items():
        place = member.serialization.get("location", "")
        there = places.get(place, {})
        wire = member.serialization.get("name", name)
        if wire in there:
            value = there.pop(wire)
            params[name] = _cast(member, value[0] if place == "querystring" else value)
    for place, left in places.items():
        params |= {f"{place} {name}".strip(): value for name, value in left.items()}
    return params


def _from_form(shape: StructureShape, form: dict[str, str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    members = shape.members
    for key, value in form.items():
        if key in {"Action", "Version"}:
            continue
        name, _, rest = key.partition(".member.")
        member = members.get(name)
        if member is not None and rest.isdigit():
            params.setdefault(name, []).append(value)
        else:
            params[name] = value if member is None else _cast(member, value)
    return params


def _cast(shape: Shape, value: Any) -> Any:
    if shape.type_name == "integer" and isinstance(value, str) and value.isdigit():
        return int(value)
    if shape.type_name == "boolean" and value in {"true", "false"}:
        return value == "true"
    return value
