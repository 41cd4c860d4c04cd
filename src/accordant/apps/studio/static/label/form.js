// The form of an answer, for every kind of task: the part that differs, "cannot judge", a comment, and undo.
//
// It knows a task as `apps/studio/blind.py` sends it and nothing of how an answer is kept or sent, so that other pages can use it:
//
//     const form = answerForm({ root, board, task, changed, announce, ask });
//     form.restore(task.answer); form.missing() || send(form.payload());
//
// `root` gets the texts, `board` what is answered with. `changed()` is called after every change; `announce(words)` says it to a
// screen reader; `ask(question)` resolves to a reason, or to null.

import { el } from "./dom.js";
import * as likert from "./likert.js";
import * as pair from "./pair.js";
import * as rank from "./rank.js";
import * as thumb from "./thumb.js";
import * as vet from "./vet.js";
import * as written from "./written.js";

const KINDS = { rank, pair, likert, thumb, demonstration: written, red_team: written, vet };
const WHY_NOT = ["I lack the knowledge", "I do not know the language", "The prompt makes no sense"];

export function answerForm({ root, board, task, changed, announce, ask }) {
  const canPass = task.task === "rank" || task.task === "pair";
  const undone = []; // states before the changes, the last one at the end
  let cannot = null; // why the whole set cannot be judged
  let settled; // the state after the last change
  const body = el("div", {});
  const choices = el("div", {});
  root.append(body);
  board.append(choices);

  const passed = el("div", { class: "note warn", hidden: true });
  const pass = el("button", { type: "button", class: "quiet", "aria-haspopup": "dialog" }, "I cannot judge these");
  pass.addEventListener("click", cannotJudge);
  const comment = el("textarea", { rows: "2", dir: "auto", maxlength: "2000" });
  comment.addEventListener("input", typed);
  const aside = el("details", { class: "aside" }, el("summary", {}, "Add a comment"), el("label", {}, "Comment (optional)", comment));
  root.append(passed, el("div", { class: "row asides" }, aside, ...(canPass ? [pass] : [])));

  const part = KINDS[task.task].make({ root: body, board: choices, task, changed: stepped, typed, announce });

  function state() {
    return { ...part.draft(), ...(cannot === null ? {} : { cannot_judge: cannot }), ...(comment.value ? { comment: comment.value } : {}) };
  }

  /** A change that can be undone. */
  function stepped(words) {
    const now = JSON.stringify(state());
    if (now !== settled) undone.push(settled);
    settled = now;
    announce(words);
    changed();
  }

  /** A change inside a text, which the browser's own undo takes back. */
  function typed() {
    settled = JSON.stringify(state());
    changed();
  }

  function take(saved) {
    part.restore(saved);
    cannot = saved.cannot_judge ?? null;
    comment.value = saved.comment ?? "";
    aside.open = aside.open || comment.value !== "";
    settled = JSON.stringify(state());
    show();
  }

  function show() {
    const back = el("button", { type: "button", class: "quiet" }, "Take it back");
    back.addEventListener("click", () => setCannot(null));
    passed.replaceChildren(el("p", {}, `You cannot judge these: ${cannot}`), back);
    passed.hidden = cannot === null;
    body.classList.toggle("passed", cannot !== null);
    choices.hidden = cannot !== null;
    pass.hidden = cannot !== null;
  }

  function setCannot(reason) {
    cannot = reason;
    show();
    stepped(reason === null ? "The answers can be judged" : `Cannot judge: ${reason}`);
  }

  async function cannotJudge() {
    const reason = await ask({ title: "Why can these not be judged?", quick: WHY_NOT, go: "Cannot judge" });
    if (reason !== null) setCannot(reason);
  }

  settled = JSON.stringify(state());
  return {
    draft: state,
    payload() {
      const extra = comment.value.trim() ? { comment: comment.value } : {};
      return cannot === null ? { ...part.payload(), ...extra } : { cannot_judge: cannot, ...extra };
    },
    missing: () => (cannot === null ? part.missing() : ""),
    restore: take,
    canUndo: () => undone.length > 0,
    undo() {
      if (!undone.length) return;
      take(JSON.parse(undone.pop()));
      announce("Undone");
      changed();
      part.focus();
    },
    focus: part.focus,
    key(event) {
      if (event.key === "c" && canPass && cannot === null) {
        cannotJudge();
        return true;
      }
      return cannot === null && part.key(event);
    },
    keys: [...part.keys, ...(canPass ? [[["c"], "cannot judge, with a reason"]] : [])],
  };
}
