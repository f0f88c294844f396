"""Who may ask, for what, and how much: keys, people, tenants, rates, quotas, turns, replays.

>>> import pathlib, tempfile
>>> with AccessStore.open(pathlib.Path(tempfile.mkdtemp())) as store:
...     _ = store.set_tenant(Tenant(name="acme", requests_per_minute=60))
...     made = store.create_key("acme", scopes=("generate", "read"))
...     key, tenant = store.authenticate(made.text)
>>> (key.tenant, sorted(key.scopes), tenant.requests_per_minute)
('acme', ['generate', 'read'], 60)

The key's text is shown once; the store keeps a digest of it. People sign in instead:

>>> with People.open(pathlib.Path(tempfile.mkdtemp())) as people:
...     _ = people.add("ada", roles=["reviewer"], tenant="acme")
...     begun = people.redeem(people.link("ada"))
...     session = people.session(begun.token)
>>> (session.person.name, session.person.tenant, sorted(session.person.roles))
('ada', 'acme', ['reviewer'])

Nothing here knows of HTTP.
"""

from __future__ import annotations

from chopmark.tenancy.keys import SCOPES, Key, NewKey, Scope
from chopmark.tenancy.people import ROLES, Person, PersonRole
from chopmark.tenancy.people_store import People
from chopmark.tenancy.sessions import NewSession, Session
from chopmark.tenancy.store import AccessStore
from chopmark.tenancy.tenants import Tenant

__all__ = [
    "ROLES",
    "SCOPES",
    "AccessStore",
    "Key",
    "NewKey",
    "NewSession",
    "People",
    "Person",
    "PersonRole",
    "Scope",
    "Session",
    "Tenant",
]
