"""Models in a Django application, in one file.

Start it with `python django_app.py runserver`. One sync client serves all threads and processes.
"""

import functools
import json
import sys
from collections.abc import Iterator

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=False,
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this example",
)

from django.core.management import execute_from_command_line  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import (  # noqa: E402
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_GET, require_POST  # noqa: E402

from dashscope import Client, ModelError, WebhookVerificationError, webhooks  # noqa: E402

client = Client()

finished: list[str] = []


@require_POST
def greet(request: HttpRequest) -> HttpResponseBase:
    try:
        output = client.run("dashscope/hello-world", {"text": request.GET["name"]}, timeout=60)
    except ModelError as error:
        return JsonResponse({"error": error.prediction.error}, status=502)
    return JsonResponse(output, safe=False)


@require_GET
def countdown(request: HttpRequest) -> HttpResponseBase:
    """Stream server-sent events. If the browser disconnects, the prediction is canceled."""
    start = int(request.GET.get("start", "5"))

    def events() -> Iterator[str]:
        with client.stream("dashscope/countdown", {"start": start}) as stream:
            for event in stream:
                yield f"data: {json.dumps(str(event))}\n\n"

    return StreamingHttpResponse(events(), content_type="text/event-stream")


@require_POST
def thumbnail(request: HttpRequest) -> HttpResponseBase:
    output = client.run("dashscope/thumbnail", {"image": request.body, "width": 64})
    return HttpResponse(output.read(), content_type=output.content_type)


@require_POST
def start(request: HttpRequest) -> HttpResponseBase:
    model = client.models.get("dashscope", "hello-world")
    assert model.latest_version is not None
    prediction = client.predictions.create(
        version=model.latest_version.id,
        input={"text": request.GET["name"]},
        webhook=request.build_absolute_uri("/hooks/dashscope"),
        webhook_events_filter=["completed"],
    )
    return JsonResponse(prediction.id, safe=False)


@functools.cache
def secret() -> str:
    return client.webhooks.default.secret.get().key


@require_POST  # if you use the CSRF middleware, add @csrf_exempt
def hook(request: HttpRequest) -> HttpResponseBase:
    try:
        job = webhooks.verify(request.body, request.headers, secret())
    except WebhookVerificationError as error:
        return HttpResponse(str(error), status=401)
    finished.append(job.id)
    return HttpResponse(status=204)


@require_GET
def list_finished(request: HttpRequest) -> HttpResponseBase:
    return JsonResponse(finished, safe=False)


urlpatterns = [
    path("greet", greet),
    path("countdown", countdown),
    path("thumbnail", thumbnail),
    path("start", start),
    path("hooks/dashscope", hook),
    path("finished", list_finished),
]

application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
