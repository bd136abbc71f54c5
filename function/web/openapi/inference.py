"""The paths of the Open Inference Protocol, version 2."""

from __future__ import annotations

from http import HTTPStatus

from function.core.openinference import VERSION
from function.core.service import ClassifyService
from function.web.openapi import parts
from function.web.openapi.parts import CLASSIFYING, WHY, Json, errors, json_content, ok, ref


def paths(service: ClassifyService) -> Json:
    """Its paths for the one model of the service."""

    def parameter(name: str, value: str) -> Json:
        return {"name": name, "in": "path", "required": True, "schema": {"enum": [value]}}

    def get(name: str, summary: str, *errors: int) -> Json:
        return parts.get(name, summary, json_content({"type": "object"}), *errors, form="Inference")

    model = [parameter("name", str(service.model["name"]))]
    not_ready = {
        "503": {"description": WHY[HTTPStatus.SERVICE_UNAVAILABLE], "content": json_content(ref("schemas/InferenceError"))}
    }
    routes: Json = {
        "/v2": {"get": get("v2Server", "Server metadata", 503)},
        "/v2/health/live": {"get": get("v2Live", "Server live")},
        "/v2/health/ready": {"get": get("v2Ready", "Server ready")},
    }
    routes["/v2/health/ready"]["get"]["responses"] |= not_ready
    for middle, parameters in (("", model), ("/versions/{version}", [*model, parameter("version", VERSION)])):
        base, name = f"/v2/models/{{name}}{middle}", "Version" if middle else ""
        routes[base] = {"parameters": parameters, "get": get(f"v2Model{name}", "Model metadata", 404, 503)}
        routes[f"{base}/ready"] = {"parameters": parameters, "get": get(f"v2ModelReady{name}", "Model ready", 404)}
        routes[f"{base}/ready"]["get"]["responses"] |= not_ready
        routes[f"{base}/infer"] = {"parameters": parameters, "post": _infer(f"v2Infer{name}")}
    return routes


def _infer(name: str) -> Json:
    binary = (
        "With Inference-Header-Content-Length, tensors of the binary data extension follow that many bytes of JSON; parameters "
        "take the options of /classify."
    )
    answers = {"application/json": {"schema": ref("schemas/InferenceResponse")}, "application/octet-stream": {}}
    return {
        "operationId": name,
        "summary": "Open Inference Protocol v2: infer",
        "description": binary,
        "requestBody": {
            "required": True,
            "content": {**json_content(ref("schemas/InferenceRequest")), "application/octet-stream": {}},
        },
        "responses": {
            **ok("The outputs asked for.", answers),
            **errors(404, *(status for status in CLASSIFYING if status != HTTPStatus.UNPROCESSABLE_ENTITY), form="Inference"),
        },
    }
