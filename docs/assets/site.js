// The theme wraps each table in a box that scrolls, once the page is there: whoever has no mouse
// must be able to scroll it as well.
"use strict";
const reachable = () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) box.tabIndex = 0;
};
new MutationObserver(reachable).observe(document.documentElement, { childList: true, subtree: true });
reachable();
