// Rate one answer on the project's scales; a scale may not apply. Up and down move the mark from within the scales only, and scroll
// elsewhere: who reads on must not end up on another scale.

import { el, listed, radio, text } from "./dom.js";

const LISTED = 160; // characters of the list of what is missing; above that they are counted, for the scales need the room

export function make({ root, board, task, changed }) {
  const [low, high] = task.scale;
  const values = [...Array.from({ length: high - low + 1 }, (_, k) => low + k), null];
  const scores = new Map();
  let current = 0;

  const rows = task.attributes.map((name, row) => {
    const radios = values.map((value) => radio(`scale-${row}`, value ?? "", [value === null ? "n/a" : String(value)], () => {
      rate(row, value, false);
    }, { "aria-label": value === null ? "does not apply" : String(value) }));
    const made = el("fieldset", { class: "scale-row" }, el("legend", {}, name), ...radios.map((one) => one.label));
    made.addEventListener("focusin", () => mark(row));
    return { row: made, radios };
  });
  root.append(el("section", { class: "card answer", "aria-label": "The answer" }, text(task.texts[0])));
  board.append(
    el("p", { class: "hint ends" }, `${low}: not at all, ${high}: very much`),
    el("div", { class: "scale-rows" }, ...rows.map((one) => one.row)),
  );

  function mark(row) {
    current = row;
    show();
  }

  /** Scroll the board to a scale, and the page not at all. */
  function reveal(row) {
    const [whole, own] = [board, row].map((one) => one.getBoundingClientRect());
    board.scrollTop += Math.min(0, own.top - whole.top) + Math.max(0, own.bottom - whole.bottom);
  }

  function rate(row, value, onwards) {
    const name = task.attributes[row];
    scores.set(name, value);
    const order = rows.map((_, step) => (row + 1 + step) % rows.length);
    const next = onwards ? order.find((one) => !scores.has(task.attributes[one])) : undefined;
    current = next ?? row;
    changed(`${name}: ${value ?? "does not apply"}${next === undefined ? "" : `. Next: ${task.attributes[next]}`}`);
    show(); // last, as what is said to be missing may leave more or less room for the scales
  }

  function show() {
    rows.forEach(({ row, radios }, k) => {
      row.classList.toggle("current", k === current);
      if (k === current) reveal(row);
      const name = task.attributes[k];
      radios.forEach((one, v) => {
        one.input.checked = scores.has(name) && scores.get(name) === values[v];
      });
    });
  }

  function key(event) {
    const isInside = board.contains(document.activeElement);
    const step = { k: -1, j: 1, ...(isInside ? { ArrowUp: -1, ArrowDown: 1 } : {}) }[event.key];
    const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
    if (digit === 0) rate(current, null, true);
    else if (digit !== null && digit >= low && digit <= high) rate(current, digit, true);
    else if (step) {
      mark((current + step + rows.length) % rows.length);
      if (isInside) rows[current].radios[0].input.focus();
    } else return false;
    return true;
  }

  const payload = () => ({ scores: Object.fromEntries(scores) });
  show();
  return {
    payload,
    draft: payload,
    missing() {
      const open = task.attributes.filter((name) => !scores.has(name));
      const names = `Not rated yet: ${listed(open)}.`;
      if (open.length) return names.length > LISTED ? `${open.length} of ${rows.length} scales are not rated yet.` : names;
      return [...scores.values()].every((value) => value === null) ? "Nothing applies: rate one, or skip the task." : "";
    },
    restore(saved) {
      scores.clear();
      for (const [name, value] of Object.entries(saved.scores ?? {})) if (task.attributes.includes(name)) scores.set(name, value);
      const open = task.attributes.findIndex((name) => !scores.has(name));
      current = open < 0 ? current : open;
      show();
    },
    focus: () => {},
    key,
    keys: [[[`${low}-${high}`], "score of the marked scale; then the next one is marked"], [["0"], "does not apply"], [["j", "k"], "mark the next scale, or the one before"]],
  };
}
