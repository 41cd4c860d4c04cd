// Requests to the server, and what is told to the person when one does not get through.

import { el } from "./dom.js";

const FIRST_WAIT = 1000; // milliseconds; doubled after each failure
const LONGEST_WAIT = 15000;
const LATER = [429, 502, 503, 504]; // worth another try as it is

const token = () => document.querySelector('meta[name="csrf"]').content;

/** POST JSON. Resolves to {status, data}; status 0: nothing came back. */
export async function post(path, body, { keepalive = false } = {}) {
  try {
    const response = await fetch(path, {
      method: "POST", keepalive, body: JSON.stringify(body),
      headers: { "content-type": "application/json", "x-csrf-token": token() },
    });
    return { status: response.status, data: await response.json() };
  } catch (error) {
    console.info("no answer from the server:", error.message);
    return { status: 0, data: {} };
  }
}

/** POST until the server has it or refuses it; `waiting(seconds)` is told before each new try. */
export async function postSurely(path, body, waiting) {
  for (let wait = FIRST_WAIT; ; wait = Math.min(LONGEST_WAIT, wait * 2)) {
    const answer = await post(path, body);
    if (answer.status !== 0 && !LATER.includes(answer.status)) return answer;
    waiting(wait / 1000);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      addEventListener("online", () => {
        clearTimeout(timer);
        resolve();
      }, { once: true });
    });
  }
}

/** Say in `place` why an answer was refused, with the way out: signing in again, or loading the page again. */
export function explain(place, { status, data }, here) {
  const words = data.error ?? "something went wrong";
  const link = (href, name) => el("a", { href, class: "button quiet" }, name);
  if (status === 401) place.replaceChildren("You are signed out. Your work is kept in this window. ", link(`/sign-in?next=${encodeURIComponent(here)}`, "Sign in and come back"));
  else if (status === 403) place.replaceChildren(`${words}. Your work is kept in this window. `, link(here, "Load the page again"));
  else place.replaceChildren(words);
  place.hidden = false;
}
