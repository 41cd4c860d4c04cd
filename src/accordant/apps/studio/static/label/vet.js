// Check an imported row: accept it as it is, accept it with changes, or reject it with a reason.
//
// A field that is text is edited as text; any other as JSON. What was changed is accepted "with my changes" only.

import { el, radio } from "./dom.js";

export function make({ root, board, task, changed, typed }) {
  const names = Object.keys(task.row);
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  let verdict = null;

  const fields = names.map((name, k) => {
    const value = shown(task.row[name]);
    const rows = Math.min(12, Math.max(1, value.split("\n").length + Math.floor(value.length / 90)));
    const area = el("textarea", { dir: "auto", rows, "aria-describedby": `field-${k}` });
    area.value = value;
    const fault = el("p", { class: "hint", id: `field-${k}` });
    area.addEventListener("input", () => {
      show();
      typed();
    });
    root.append(el("div", { class: "card stack" }, el("label", {}, name, area), fault));
    return { name, area, fault };
  });

  const back = el("button", { type: "button", class: "quiet" }, "Take my changes back");
  back.addEventListener("click", () => {
    for (const { name, area } of fields) area.value = shown(task.row[name]);
    show();
    changed("The row is as it came");
  });
  const reason = el("input", { maxlength: "300", autocomplete: "off", "aria-label": "Why it is rejected", placeholder: "Why it is rejected" });
  reason.addEventListener("input", typed);
  const choices = [["accept", "Accept as it is", "a"], ["edit", "Accept with my changes", "e"], ["reject", "Reject", "r"]];
  const radios = choices.map(([value, words, shortcut]) =>
    radio("verdict", value, [el("kbd", { "aria-hidden": "true" }, shortcut), ` ${words}`], () => choose(value)));
  board.append(el("fieldset", { class: "scale three" }, el("legend", { class: "unseen" }, "What becomes of this row?"), ...radios.map((one) => one.label)), reason, back);

  /** The field's value, or undefined where it should be JSON and is not. */
  function read({ name, area }) {
    if (typeof task.row[name] === "string") return area.value;
    try {
      return JSON.parse(area.value);
    } catch {
      return undefined;
    }
  }

  const isChanged = () => fields.some((one) => one.area.value !== shown(task.row[one.name]));
  const faulty = () => fields.filter((one) => read(one) === undefined).map((one) => one.name);

  function choose(value) {
    verdict = value;
    show();
    changed(choices.find(([name]) => name === value)[1]);
    if (value === "reject") reason.focus();
  }

  function show() {
    const edited = isChanged();
    if (verdict === "accept" && edited) verdict = "edit";
    if (verdict === "edit" && !edited) verdict = "accept";
    radios.forEach((one, k) => {
      const name = choices[k][0];
      one.input.checked = name === verdict;
      one.input.disabled = (name === "accept" && edited) || (name === "edit" && !edited);
    });
    reason.hidden = verdict !== "reject";
    back.hidden = !edited;
    for (const one of fields) one.fault.textContent = read(one) === undefined ? "This field is JSON, and this is none." : "";
  }

  const row = () => Object.fromEntries(fields.map((one) => [one.name, read(one)]));
  show();
  return {
    payload() {
      if (verdict === "edit") return { verdict, row: row() };
      return verdict === "reject" ? { verdict, reason: reason.value } : { verdict };
    },
    draft: () => ({ verdict, reason: reason.value, typed: Object.fromEntries(fields.map((one) => [one.name, one.area.value])) }),
    missing() {
      if (verdict === null) return "Accept the row or reject it.";
      if (verdict === "edit" && faulty().length) return `Not JSON: ${faulty().join(", ")}.`;
      return verdict === "reject" && !reason.value.trim() ? "Say why it is rejected." : "";
    },
    restore(saved) {
      for (const one of fields) {
        const given = saved.typed?.[one.name] ?? (saved.row && one.name in saved.row ? shown(saved.row[one.name]) : undefined);
        one.area.value = given ?? shown(task.row[one.name]);
      }
      reason.value = saved.reason ?? "";
      verdict = saved.verdict ?? null;
      show();
    },
    focus: () => {},
    key(event) {
      const found = choices.findIndex(([, , shortcut]) => shortcut === event.key);
      if (found < 0) return false;
      if (!radios[found].input.disabled) choose(choices[found][0]);
      return true;
    },
    keys: [[["a"], "accept as it is"], [["e"], "accept with my changes"], [["r"], "reject"], [["Esc"], "leave a field, for the other keys"]],
  };
}
