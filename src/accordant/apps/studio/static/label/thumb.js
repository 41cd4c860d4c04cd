// Good or bad. The arrows are left to scrolling: who reads on must not judge by it.

import { el, radio, text } from "./dom.js";

export function make({ root, board, task, changed }) {
  let up = null;
  const choices = [[true, "Good", "1"], [false, "Bad", "2"]];
  const radios = choices.map(([value, words, shortcut]) =>
    radio("thumb", value, [el("kbd", { "aria-hidden": "true" }, shortcut), ` ${words}`], () => choose(value)));
  root.append(el("section", { class: "card answer", "aria-label": "The answer" }, text(task.texts[0])));
  board.append(el("fieldset", { class: "scale two" }, el("legend", { class: "unseen" }, "Is this a good answer?"), ...radios.map((one) => one.label)));

  function choose(value) {
    up = value;
    show();
    changed(value ? "Good" : "Bad");
  }

  function show() {
    radios.forEach((one, k) => {
      one.input.checked = choices[k][0] === up;
    });
  }

  const payload = () => (up === null ? {} : { up });
  return {
    payload,
    draft: payload,
    missing: () => (up === null ? "Say whether it is good or bad." : ""),
    restore(saved) {
      up = typeof saved.up === "boolean" ? saved.up : null;
      show();
    },
    focus: () => {},
    key(event) {
      const value = { 1: true, "+": true, 2: false, "-": false }[event.key];
      if (value !== undefined) choose(value);
      return value !== undefined;
    },
    keys: [[["1", "+"], "good"], [["2", "-"], "bad"]],
  };
}
