// Which of two answers is better, and by how much: nine steps from A to B, or both bad.

import { el, letter, radio, text } from "./dom.js";

export function make({ root, board, task, changed }) {
  const grades = task.grades.map((grade) => (grade === "better" ? grade : `${grade} better`));
  const steps = [
    ...grades.map((words, k) => ({ words: `A ${words}`, payload: { better: 0, grade: task.grades[k] } })),
    { words: "Tie", payload: { tie: true } },
    ...grades.map((words, k) => ({ words: `B ${words}`, payload: { better: 1, grade: task.grades[k] } })).reverse(),
    { words: "Both bad", payload: { both_bad: true } },
  ];
  const middle = grades.length;
  const bad = steps.length - 1;
  let chosen = null;

  const radios = steps.map((step, k) => radio("pair", k, [el("kbd", { "aria-hidden": "true" }, String(k === bad ? 0 : k + 1)), ` ${step.words}`], () => choose(k)));
  root.append(el("div", { class: "answers" }, ...task.texts.map((content, place) =>
    el("div", { class: "card answer", role: "group", "aria-label": `Answer ${letter(place)}` },
      el("header", {}, el("span", { class: "chip still", "aria-hidden": "true" }, letter(place))), text(content)))));
  board.append(el("fieldset", { class: "scale" }, el("legend", { class: "unseen" }, "Which answer is better?"), ...radios.map((one) => one.label)));

  function choose(k) {
    chosen = k;
    show();
    changed(steps[k].words);
  }

  function show() {
    radios.forEach((one, k) => {
      one.input.checked = k === chosen;
    });
  }

  function key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (/^[0-9]$/.test(event.key)) choose(event.key === "0" ? bad : Number(event.key) - 1);
    else if (event.key === "b") choose(bad);
    else if (event.key === "=") choose(middle);
    else if (step) choose(Math.min(bad - 1, Math.max(0, (chosen === null || chosen === bad ? middle : chosen) + step)));
    else return false;
    return true;
  }

  const payload = () => (chosen === null ? {} : steps[chosen].payload);
  return {
    payload,
    draft: payload,
    missing: () => (chosen === null ? "Say which answer is better." : ""),
    restore(saved) {
      const found = steps.findIndex(({ payload: own }) => Object.keys(own).every((name) => own[name] === saved[name]));
      chosen = found < 0 ? null : found;
      show();
    },
    focus: () => {},
    key,
    keys: [[["1-9"], "from A much better to B much better; 5 is a tie"], [["←", "→"], "one step towards A or B"], [["="], "tie"], [["0"], "both bad"]],
  };
}
