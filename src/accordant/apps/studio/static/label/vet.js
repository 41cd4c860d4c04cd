// Check an imported row: accept it as it is, accept it with changes, or reject it with a reason.
//
// A field that is text is edited as text; any other as JSON, whose numbers are never read here, since that would round them: what
// is sent is the text of each field that was changed. What was changed is accepted "with my changes" only.

import { el, radio } from "./dom.js";

export function make({ root, board, task, changed, typed }) {
  let verdict = null;

  const fields = task.fields.map(({ name, text, json, said }, k) => {
    const rows = Math.min(12, Math.max(1, text.split("\n").length + Math.floor(text.length / 90)));
    const area = el("textarea", { dir: "auto", rows, class: json && "code", spellcheck: json && "false", "aria-describedby": `field-${k}` });
    area.value = text;
    const fault = el("p", { class: "hint", id: `field-${k}` });
    area.addEventListener("input", () => {
      show();
      typed();
    });
    root.append(el("div", { class: "card stack" }, el("label", {}, name, area), fault));
    return { name, json, said, area, fault, first: area.value }; // which is not the text where its line ends are not "\n"
  });

  const back = el("button", { type: "button", class: "quiet" }, "Take my changes back");
  back.addEventListener("click", () => {
    for (const one of fields) one.area.value = one.first;
    show();
    changed("The row is as it came");
  });
  const reason = el("input", { maxlength: "300", autocomplete: "off", "aria-label": "Why it is rejected", placeholder: "Why it is rejected" });
  reason.addEventListener("input", typed);
  const choices = [["accept", "Accept as it is", "a"], ["edit", "Accept with my changes", "e"], ["reject", "Reject", "r"]];
  const radios = choices.map(([value, words, shortcut]) =>
    radio("verdict", value, [el("kbd", { "aria-hidden": "true" }, shortcut), ` ${words}`], () => choose(value)));
  board.append(el("fieldset", { class: "scale three" }, el("legend", { class: "unseen" }, "What becomes of this row?"), ...radios.map((one) => one.label)), reason, back);

  function isFaulty({ json, area }) {
    if (!json) return false;
    try {
      JSON.parse(area.value);
      return false;
    } catch {
      return true;
    }
  }

  const edited = () => fields.filter((one) => one.area.value !== one.first);
  const texts = (some) => Object.fromEntries(some.map((one) => [one.name, one.area.value]));

  function choose(value) {
    verdict = value;
    show();
    changed(choices.find(([name]) => name === value)[1]);
    if (value === "reject") reason.focus();
  }

  function show() {
    const isEdited = edited().length > 0;
    if (verdict === "accept" && isEdited) verdict = "edit";
    if (verdict === "edit" && !isEdited) verdict = "accept";
    radios.forEach((one, k) => {
      const name = choices[k][0];
      one.input.checked = name === verdict;
      one.input.disabled = (name === "accept" && isEdited) || (name === "edit" && !isEdited);
    });
    reason.hidden = verdict !== "reject";
    back.hidden = !isEdited;
    for (const one of fields) one.fault.textContent = isFaulty(one) ? "This field is JSON, and this is none." : "";
  }

  show();
  return {
    payload() {
      if (verdict === "edit") return { verdict, typed: texts(edited()) };
      return verdict === "reject" ? { verdict, reason: reason.value } : { verdict };
    },
    draft: () => ({ verdict, reason: reason.value, typed: texts(fields) }),
    missing() {
      const faulty = fields.filter(isFaulty).map((one) => one.name);
      if (verdict === null) return "Accept the row or reject it.";
      if (verdict === "edit" && faulty.length) return `Not JSON: ${faulty.join(", ")}.`;
      return verdict === "reject" && !reason.value.trim() ? "Say why it is rejected." : "";
    },
    restore(saved) {
      for (const one of fields) one.area.value = saved.typed?.[one.name] ?? (saved.row && one.said) ?? one.first;
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
