// Requests to the server, and what is told to the person when one does not get through.

import { el } from "./dom.js";

const FIRST_WAIT = 1000; // milliseconds; doubled after each failure
const LONGEST_WAIT = 15000;
const KEEPALIVE = 60000; // bytes: browsers send at most 64 KiB for a page that goes away
const LATER = [429, 502, 503, 504]; // worth another try as it is

/** Whether something got no answer, or one that may be another in a while. */
export const mayPass = ({ status }) => status === 0 || LATER.includes(status);

const token = () => document.querySelector('meta[name="csrf"]').content;

/** POST JSON, also from a page that is being left. Resolves to {status, data}; status 0: nothing came back. */
export async function post(path, body) {
  const sent = JSON.stringify(body);
  try {
    const response = await fetch(path, {
      method: "POST", body: sent, keepalive: sent.length * 3 < KEEPALIVE,
      headers: { "content-type": "application/json", "x-csrf-token": token() },
    });
    return { status: response.status, data: await response.json() };
  } catch (error) {
    console.info("no answer from the server:", error.message);
    return { status: 0, data: {} };
  }
}

/** POST until the server has it or refuses it; `waiting(seconds, answer)` is told before each new try. */
export async function postSurely(path, body, waiting) {
  for (let wait = FIRST_WAIT; ; wait = Math.min(LONGEST_WAIT, wait * 2)) {
    const answer = await post(path, body);
    if (!mayPass(answer)) return answer;
    waiting(wait / 1000, answer);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      addEventListener("online", () => {
        clearTimeout(timer);
        resolve();
      }, { once: true });
    });
  }
}

/** Say in `place` why something was refused. Where the session has ended or is another one, `here` leads on, by the sign-in page. */
export function explain(place, { status, data }, here) {
  const words = data.error ?? "something went wrong";
  if (status === 401 || status === 403) {
    const link = el("a", { href: here, class: "button quiet" }, "Load the page again");
    place.replaceChildren("You are signed out, or signed in anew. Your work is kept in this window. ", link);
  } else place.replaceChildren(words);
  place.hidden = false;
}
