"""Who may ask, for what, and how much: API keys, tenants, rates, quotas, turns and replays.

>>> import pathlib, tempfile
>>> with AccessStore.open(pathlib.Path(tempfile.mkdtemp())) as store:
...     _ = store.set_tenant(Tenant(name="acme", requests_per_minute=60))
...     made = store.create_key("acme", scopes=("generate", "read"))
...     key, tenant = store.authenticate(made.text)
>>> (key.tenant, sorted(key.scopes), tenant.requests_per_minute)
('acme', ['generate', 'read'], 60)

The key's text is shown once; the store keeps a digest of it. Nothing here knows of HTTP.
"""

from __future__ import annotations

from chopmark.tenancy.keys import SCOPES, Key, NewKey, Scope
from chopmark.tenancy.store import AccessStore
from chopmark.tenancy.tenants import Tenant

__all__ = ["SCOPES", "AccessStore", "Key", "NewKey", "Scope", "Tenant"]
