"""The pages: `/verify` for everybody, `/studio` for creators, `/console` for reviewers.

>>> from chopmark import Pipeline, Settings
>>> from chopmark.web import create_site
>>> site = create_site(Pipeline.from_settings(Settings()))  # doctest: +SKIP

Rendered on the server. Every page does its main job without JavaScript; what there is of it makes
the same forms quicker. No page asks anything of another host, and the Content-Security-Policy sees
to it.
"""

from __future__ import annotations

from chopmark.web.site import create_site

__all__ = ["create_site"]
