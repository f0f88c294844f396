"""Webhooks as OpenAI's client manages them, unmodified, and reads what they tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from chopmark.tenancy import AccessStore, Tenant
from tests.support.receiver import Receiver
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODERATIONS: Any = "/v1/moderations"
LINE = b'{"custom_id": "one", "method": "POST", "url": "/v1/moderations", "body": {"input": "a"}}'


@pytest.fixture
def there() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_webhook_is_made_changed_tried_and_let_go(
    live_server: Callable[..., Any], there: Receiver
) -> None:
    with live_server(webhooks_private=True) as live:
        with AccessStore.open(live.pipeline.parts.home) as store:
            key = store.create_key("default", scopes=["moderate", "review"]).text
            store.set_tenant(Tenant(name="other"))
            others = store.create_key("other", scopes=["review"]).text
            weak = store.create_key("default", scopes=["moderate"]).text
        client = openai.OpenAI(base_url=f"{live.url}/v1", api_key=key, max_retries=0)
        with client:
            assert "batch.completed" in client.webhooks.event_types.list().data
            hook = client.webhooks.create(
                name="mine", url=there.url, event_types=["batch.failed", "batch.expired"]
            )
            changed = client.webhooks.update(hook.id, name="ours", event_types=["batch.completed"])
            assert (changed.name, changed.url, changed.event_types) == (
                "ours",
                there.url,
                ["batch.completed"],
            )
            assert hook.signing_secret.endswith(str(changed.signing_secret_hint)[-5:])
            tried = client.webhooks.test(hook.id, event_type="batch.completed")
            assert (tried.status_code, tried.success) == (204, True)
            headers, body = there.got.pop()
            client.webhooks.unwrap(body.decode(), headers, secret=hook.signing_secret)

            newer = client.webhooks.rotate_secret(hook.id, keep_old_secret_active_for_24_hours=True)
            assert newer.signing_secret != hook.signing_secret
            lines = client.files.create(file=("a.jsonl", LINE), purpose="batch")
            batch = client.batches.create(
                input_file_id=lines.id, endpoint=MODERATIONS, completion_window="24h"
            )
            until(lambda: there.got)
            headers, body = there.got.pop()
            for secret in (newer.signing_secret, hook.signing_secret):
                told: Any = client.webhooks.unwrap(body.decode(), headers, secret=secret)
            assert (told.type, told.data.id) == ("batch.completed", batch.id)
            last = client.webhooks.rotate_secret(hook.id)
            client.webhooks.test(hook.id, event_type="batch.completed")
            headers, body = there.got.pop()
            client.webhooks.unwrap(body.decode(), headers, secret=last.signing_secret)
            with pytest.raises(openai.InvalidWebhookSignatureError):
                client.webhooks.unwrap(body.decode(), headers, secret=newer.signing_secret)

            more = client.webhooks.create(
                name="more", url=there.url, event_types=["batch.cancelled"]
            )
            # Page by page, the newest first.
            assert [one.id for one in client.webhooks.list(limit=1)] == [more.id, hook.id]
            with pytest.raises(openai.BadRequestError) as caught:
                client.webhooks.create(
                    name="x", url=there.url, event_types=["batch.failed", "video.completed"]
                )
            assert caught.value.param == "event_types[1]"
            for asks in (others, weak):
                with pytest.raises((openai.NotFoundError, openai.PermissionDeniedError)):
                    client.with_options(api_key=asks).webhooks.delete(hook.id)
            assert client.webhooks.delete(hook.id).deleted
            with pytest.raises(openai.NotFoundError):
                client.webhooks.retrieve(hook.id)
        log = live.pipeline.parts.log
        kinds = [log.get(index).kind for index in range(log.size)]
    assert [kind for kind in kinds if kind.startswith("webhook.")] == [
        "webhook.added",
        "webhook.changed",
        "webhook.changed",
        "webhook.changed",
        "webhook.added",
        "webhook.removed",
    ]
