"""The paths that are served."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from api.figures import Figures
from api.health import Health
from common import counting

_METHODS = ["GET", "HEAD"]


def make(health: Health, figures: Figures, data_dir: str, *routers: APIRouter) -> FastAPI:
    """The application, with more routes."""
    counted = counting.folder(data_dir)
    app = FastAPI(title="Postjet", openapi_url=None)  # health is for machines that know it

    for router in routers:
        app.include_router(router)

    @app.api_route("/healthz", methods=_METHODS)
    async def healthz() -> Response:
        """This process lives."""
        return JSONResponse({"status": "alive"})

    @app.api_route("/readyz", methods=_METHODS)
    async def readyz() -> Response:
        """Whether a mail would be taken now; if not, why (RFC 9457)."""
        verdict = await health.judge()
        if not verdict.missing:
            return JSONResponse({"status": "ready", "degraded": verdict.degraded})
        problem = {
            "type": "about:blank",
            "title": "Not ready",
            "status": 503,
            "detail": "; ".join(verdict.missing),
            "missing": verdict.missing,
            "degraded": verdict.degraded,
        }
        return JSONResponse(problem, 503, media_type="application/problem+json")

    @app.api_route("/metrics", methods=_METHODS)
    async def metrics(request: Request) -> Response:
        """What all processes of this instance counted, and the figures of this moment."""
        registry = CollectorRegistry()
        registry.register(await figures.ask())
        if counted.is_dir():
            MultiProcessCollector(registry, str(counted))  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    return app
