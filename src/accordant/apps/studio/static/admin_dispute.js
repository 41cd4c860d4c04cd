// The ruling on a dispute, with the form that labelers use. Without scripts the page's own select boxes do the same.
//
// Keys work while the focus is in the form, so that none is taken from elsewhere.

import { el } from "./label/dom.js";
import { answerForm } from "./label/form.js";

const $ = (id) => document.getElementById(id);
const place = $("answer");

if (place) start(JSON.parse($("task").textContent));

function start(task) {
  const ruling = $("ruling");
  const root = el("div", {});
  const board = el("div", { id: "board" });
  const undo = el("button", { type: "button", class: "quiet" }, "Undo");
  place.replaceChildren(root, board, el("div", { class: "row" }, undo));
  $("texts")?.remove(); // they are in the form now

  const form = answerForm({ root, board, task, changed: refresh, announce, ask: reasonFirst });

  function refresh() {
    undo.disabled = !form.canUndo();
    $("missing").textContent = form.missing();
  }

  function announce(words) {
    $("announce").textContent = words;
  }

  /** Why it cannot be judged is the reason of the ruling, which must be written anyway. */
  async function reasonFirst() {
    const reason = ruling.elements.reason.value.trim();
    if (reason) return reason;
    ruling.elements.reason.focus();
    $("missing").textContent = "Write the reason below, then say again that these cannot be judged.";
    return null;
  }

  undo.addEventListener("click", () => form.undo());
  place.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input:not([type=radio]), textarea, select")) return;
    if (form.key(event)) event.preventDefault();
  });
  ruling.addEventListener("submit", (event) => {
    const missing = form.missing();
    if (missing) {
      event.preventDefault();
      $("missing").textContent = missing;
      announce(missing);
      form.focus();
      return;
    }
    ruling.elements.payload.value = JSON.stringify(form.payload());
  });
  if (task.answer) form.restore(task.answer);
  refresh();
}
