// Write a text: a demonstration of a good answer, or a prompt that finds a fault.

import { el } from "./dom.js";

const LONGEST = 100000; // characters, as `feedback/payload.py` has it

export function make({ root, task, typed }) {
  const label = task.task === "red_team" ? "Your prompt" : "Your answer";
  const area = el("textarea", { rows: "10", dir: "auto", maxlength: LONGEST, "aria-describedby": "length" });
  const length = el("p", { class: "hint", id: "length" });
  root.append(el("div", { class: "card stack" }, el("label", {}, label, area), length));
  area.addEventListener("input", () => {
    show();
    typed();
  });

  function show() {
    const n = area.value.length;
    length.textContent = `${n.toLocaleString("en")} ${n === 1 ? "character" : "characters"}`;
  }

  const payload = () => ({ text: area.value });
  show();
  return {
    payload,
    draft: payload,
    missing: () => (area.value.trim() ? "" : "Nothing is written yet."),
    restore(saved) {
      area.value = saved.text ?? "";
      show();
    },
    focus: () => area.focus(),
    key: () => false,
    keys: [[["Esc"], "leave the text, for the other keys"]],
  };
}
