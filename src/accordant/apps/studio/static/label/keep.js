// Drafts: kept in this window at once, on the server soon after, so that neither a reload nor a lost connection costs a word.
//
// The window's copy goes as soon as the server has one. It lives as long as the window does, and no longer.

import { post } from "./send.js";

const SOON = 800; // milliseconds after the last change
const AGAIN = 5000; // after a failure

/** `state()` gives what to keep; `told({status, data})` hears of every attempt; `isOpen`: whether the server keeps drafts. */
export function keeper({ task, isOpen, state, told }) {
  const path = `/api/tasks/${task.assignment}/draft`;
  const name = `draft ${task.assignment}`;
  let version = 0; // of what is on the page
  let saved = 0; // of what the server has
  let timer = null;
  let ended = false;

  function local() {
    try {
      sessionStorage.setItem(name, JSON.stringify(state()));
    } catch (error) {
      console.info("no copy can be kept in this window:", error.message);
    }
  }

  function later(wait) {
    clearTimeout(timer);
    timer = setTimeout(send, wait);
  }

  async function send() {
    const sent = version;
    if (ended || !isOpen || sent === saved) return;
    const answer = await post(path, state());
    if (ended) return;
    if (answer.status === 200 && sent === version) {
      saved = sent;
      sessionStorage.removeItem(name);
    } else if (answer.status === 0 || answer.status >= 429) later(AGAIN);
    told(answer);
  }

  function leave() {
    if (!ended && isOpen && version !== saved) post(path, state());
  }

  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.hidden && leave());
  addEventListener("online", () => later(0));
  return {
    changed() {
      version += 1;
      local();
      later(SOON);
    },
    /** What this window kept and the server has not, or null. */
    found() {
      const kept = JSON.parse(sessionStorage.getItem(name) ?? "null");
      return kept && kept.revision === task.revision ? kept : null;
    },
    /** After the end: keep what is on the page for when it is loaded again, with the answer's `revision`. */
    carry(revision) {
      sessionStorage.setItem(name, JSON.stringify({ ...state(), revision }));
    },
    end() {
      ended = true;
      clearTimeout(timer);
      sessionStorage.removeItem(name);
    },
  };
}
