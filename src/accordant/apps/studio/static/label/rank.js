// Rank the answers: nothing is ranked at the start; keys, dragging and select boxes change one state.
//
// A rank is 1 (best) to K, "F" (unusable) or null. Equal ranks are ties; gaps close when the answer is sent, so that ranks
// 1, 1, 3 are two groups. A draft keeps the gaps as empty groups.

import { draggable } from "./drag.js";
import { el, letter, listed, text } from "./dom.js";

const FEW = 6; // answers whose slots fit on a line, and whose letters are listed

const named = (rank) => (rank === null ? "not ranked" : rank === "F" ? "F" : `rank ${rank}`);

export function make({ root, board, task, changed, announce }) {
  const places = task.texts.map((_, place) => place);
  const values = [...places.map((place) => place + 1), "F"];
  let ranks = places.map(() => null);
  let current = 0;
  let last = null; // the answer that was placed last, for "="

  const cards = places.map(card);
  const slots = ["", ...values].map(slot);
  root.append(el("div", { class: `answers of-${places.length}` }, ...cards.map((one) => one.card)));
  board.append(el("div", { class: places.length > FEW ? "slots many" : "slots", role: "group", "aria-label": "Ranks" }, ...slots.map((one) => one.slot)));

  function card(place) {
    const chip = handle(place);
    const options = values.map((value) => el("option", { value }, value === "F" ? "F (unusable)" : String(value)));
    const select = el("select", { "aria-label": `Rank of answer ${letter(place)}` }, el("option", { value: "" }, "not ranked"), ...options);
    select.addEventListener("change", () => put(place, read(select.value), false));
    const made = el(
      "div", { class: "card answer", role: "group", tabindex: "-1" },
      el("header", {}, chip, select), text(task.texts[place]),
    );
    made.addEventListener("focusin", () => mark(place));
    made.addEventListener("pointerdown", () => mark(place));
    return { card: made, select };
  }

  function handle(place) {
    const made = el("span", { class: "chip", "aria-hidden": "true", title: "Drag to a rank" }, letter(place));
    draggable(made, { dropped: (rank) => put(place, read(rank), true), pressed: () => focus(place), within: board });
    return made;
  }

  function slot(value) {
    const chips = el("span", { class: "chips" });
    const name = value === "" ? el("span", { class: "slot-name" }, "Unranked") : el("button", { type: "button", class: "slot-name quiet" }, String(value));
    if (value !== "") name.addEventListener("click", () => put(current, read(String(value)), true));
    return { slot: el("div", { class: "slot", "data-rank": value }, name, chips), chips, value: read(String(value)), name };
  }

  function read(value) {
    return value === "" ? null : value === "F" ? "F" : Number(value);
  }

  function mark(place) {
    current = place;
    show();
  }

  function focus(place, options) {
    mark(place);
    cards[place].card.focus(options);
  }

  /** Give an answer a rank; `onwards`: then go to the next one that has none. */
  function put(place, rank, onwards) {
    ranks[place] = rank;
    if (rank !== null) last = place;
    current = place;
    const order = places.map((step) => (place + 1 + step) % places.length);
    const next = onwards ? order.find((one) => ranks[one] === null) : undefined;
    changed(`${letter(place)}: ${named(rank)}${next === undefined ? "" : `. Next: ${letter(next)}`}`);
    if (next === undefined) show();
    else focus(next);
  }

  function show() {
    places.forEach((place) => {
      const { card: made, select } = cards[place];
      made.classList.toggle("current", place === current);
      made.classList.toggle("rejected", ranks[place] === "F");
      made.classList.toggle("placed", ranks[place] !== null);
      made.setAttribute("tabindex", place === current ? "0" : "-1");
      made.setAttribute("aria-label", `Answer ${letter(place)}, ${named(ranks[place])}`);
      select.value = ranks[place] ?? "";
    });
    for (const one of slots) {
      one.chips.replaceChildren(...places.filter((place) => ranks[place] === one.value).map(handle));
      if (one.value !== null) one.name.setAttribute("aria-label", `Give answer ${letter(current)} ${one.value === "F" ? "an F" : named(one.value)}`);
    }
  }

  function key(event) {
    const step = { ArrowLeft: -1, k: -1, ArrowRight: 1, j: 1 }[event.key];
    const digit = /^[0-9]$/.test(event.key) ? Number(event.key) || 10 : null;
    if (digit !== null && digit <= places.length) put(current, digit, true);
    else if (event.key === "f") put(current, "F", true);
    else if (event.key === "=" && (ranks[last] ?? null) === null) announce("Nothing was placed before that it could tie with");
    else if (event.key === "=") put(current, ranks[last], true);
    else if (event.key === "Backspace" || event.key === "Delete") put(current, null, false);
    else if (step) focus((current + step + places.length) % places.length);
    else if (/^[A-Z]$/.test(event.key) && event.key.charCodeAt(0) - 65 < places.length) focus(event.key.charCodeAt(0) - 65);
    else return false;
    return true;
  }

  function said() {
    const groups = values.filter((value) => value !== "F").map((rank) => places.filter((place) => ranks[place] === rank));
    while (groups.length && groups.at(-1).length === 0) groups.pop();
    return { groups, rejected: places.filter((place) => ranks[place] === "F") };
  }

  show();
  return {
    draft: () => ({ ...said(), last }),
    payload: () => ({ ...said(), groups: said().groups.filter((group) => group.length > 0) }),
    missing() {
      const open = places.filter((place) => ranks[place] === null).map(letter);
      if (open.length > FEW) return `${open.length} of ${places.length} answers have no rank yet.`;
      return open.length === 0 ? "" : `${listed(open)} ${open.length === 1 ? "has" : "have"} no rank yet.`;
    },
    restore(saved) {
      ranks = places.map((place) => {
        const group = (saved.groups ?? []).findIndex((one) => one.includes(place));
        return (saved.rejected ?? []).includes(place) ? "F" : group < 0 ? null : group + 1;
      });
      last = places.includes(saved.last) ? saved.last : null;
      const open = ranks.indexOf(null);
      current = open < 0 ? current : open;
      show();
    },
    focus: () => focus(current, { preventScroll: true }), // the prompt is read first
    key,
    keys: [
      [["1-9"], "rank of the marked answer (0: rank 10); then the next one is marked"], [["="], "tie with the one placed last"],
      [["f"], "F: unusable"], [["←", "→"], "mark another answer"], [["Shift", "B"], "mark answer B"], [["Delete"], "take the rank back"],
    ],
  };
}
