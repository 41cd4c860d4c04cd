// What was saved is said on the page that comes next, with the way back to it.

import { el } from "./dom.js";

const NAME = "saved";

/** To be shown on the next page: `words`, and the address where it can be changed ("" for none). */
export function remember(words, address) {
  sessionStorage.setItem(NAME, JSON.stringify({ words, address }));
}

/** Show what the page before this one saved, once. */
export function show(toast) {
  const kept = JSON.parse(sessionStorage.getItem(NAME) ?? "null");
  sessionStorage.removeItem(NAME);
  if (!kept) return;
  toast.replaceChildren(el("span", { dir: "auto" }, kept.words), ...(kept.address ? [" ", el("a", { href: kept.address }, "Change it")] : []));
  toast.hidden = false;
}
