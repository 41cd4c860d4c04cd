// The labeling page: one task, from what is on the page to the answer on the server.

import { el, text } from "./label/dom.js";
import { answerForm } from "./label/form.js";
import { keeper } from "./label/keep.js";
import { remember, show as showSaved } from "./label/saved.js";
import { explain, mayPass, postSurely } from "./label/send.js";
import { clock, lease, stopwatch } from "./label/time.js";

const $ = (id) => document.getElementById(id);
const task = JSON.parse($("task").textContent);
const here = `/tasks/${task.assignment}`;
const WHY_SKIP = ["I do not understand it", "I lack the knowledge", "It is broken or empty", "I would rather not"];
const KEYS_OFF = "single keys off"; // in localStorage
let busy = false;
let veiled = $("warned") !== null;

// --- asking for a reason --------------------------------------------------------------------------------------------

let settle = null; // of the question that is open

function ask({ title, quick, go }) {
  settled(null);
  $("ask-title").textContent = title;
  $("ask-go").textContent = go;
  $("ask-reason").value = "";
  $("ask-quick").replaceChildren(...quick.map((words) => {
    const button = el("button", { type: "button", class: "quiet" }, words);
    button.addEventListener("click", () => settled(words));
    return button;
  }));
  $("ask").showModal();
  $("ask-reason").focus();
  return new Promise((resolve) => {
    settle = resolve;
  });
}

/** Close the question with this reason, or with null. */
function settled(reason) {
  const resolve = settle;
  settle = null;
  if ($("ask").open) $("ask").close();
  resolve?.(reason);
}

$("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const reason = $("ask-reason").value.trim();
  if (reason) settled(reason);
});
$("ask-close").addEventListener("click", () => settled(null));
// The browser tells of closing a little later, when the next question may be open already.
$("ask").addEventListener("close", () => $("ask").open || settled(null));

// --- the form, its draft, and the time ------------------------------------------------------------------------------

function announce(words) {
  $("announce").textContent = words;
}

const form = answerForm({ root: $("form"), board: $("board"), task, changed, announce, ask });
const watch = stopwatch({
  start: task.ms_spent,
  tick: (ms) => {
    $("spent").textContent = clock(ms);
  },
  tired: () => {
    $("rest").hidden = false;
  },
});
const keep = keeper({
  task,
  isOpen: task.state !== "skipped",
  state: () => ({ payload: form.draft(), ms_spent: watch.spent(), revision: task.revision }),
  told: keptOrNot,
});
const held = lease(task.lease_ms, () => say("late"));

function changed() {
  keep.changed();
  $("kept").textContent = "";
  refresh();
}

function refresh() {
  const missing = form.missing();
  $("missing").textContent = missing;
  $("submit").disabled = busy || veiled || missing !== "";
  $("undo").disabled = !form.canUndo();
}

function keptOrNot({ status, data }) {
  if (status === 200) {
    $("kept").textContent = data.saved ? "Draft saved." : "";
    if (!busy) $("trouble").hidden = true;
    held.renew(data.lease_ms);
    if (data.saved && data.lease_ms === 0 && !task.revision) say("late");
  } else if (status === 0) $("kept").textContent = "No connection: your work is kept in this window, and saved when it is back.";
  else if (mayPass({ status })) $("kept").textContent = "The server is busy: your work is kept in this window, and saved when it can be.";
  else if (!busy) explain($("trouble"), { status, data }, here);
}

function say(state) {
  const words = {
    late: "Your time for this task has run out, so somebody else may get it. You can go on: your answer is kept, and it counts if its place is still free.",
    answered: `You said: ${task.said}. If you change it, what you said before stays in the history.`,
    surplus: `You said: ${task.said}. It came after its place had gone to somebody else: it is kept, and set aside.`,
    skipped: "You skipped this task. You can still answer it.",
  }[state];
  $("state").textContent = words ?? "";
  $("state").hidden = words === undefined;
}

// --- sending --------------------------------------------------------------------------------------------------------

/** Send until it is there; `done(data)` may say where to go on, else it is where the server says. */
async function deliver(path, body, done) {
  if (busy) return;
  busy = true;
  refresh();
  $("trouble").hidden = true;
  const answer = await postSurely(path, body, (seconds, { status, data }) => {
    const why = status === 0 ? "No connection: nothing is lost." : `Nothing is lost, but ${data.error ?? "the server is busy"}.`;
    $("trouble").replaceChildren(`${why} Trying again in ${seconds} seconds.`);
    $("trouble").hidden = false;
  });
  if (answer.status === 200) {
    keep.end();
    location.assign(done(answer.data) ?? answer.data.next);
    return;
  }
  busy = false;
  explain($("trouble"), answer, here);
  refresh();
}

function submit() {
  if ($("submit").disabled) {
    announce(form.missing());
    return;
  }
  const sent = JSON.stringify(form.draft());
  const body = { payload: form.payload(), submission: task.submission, ms_spent: watch.spent() };
  deliver(`/api/tasks/${task.assignment}/answer`, body, ({ said, surplus, revision }) => {
    const kept = surplus ? "Kept, but set aside, since its place had gone to somebody else" : revision > 1 ? "Changed" : "Saved";
    remember(`${kept}: ${said}`, here);
    if (JSON.stringify(form.draft()) === sent) return undefined;
    keep.carry(revision); // changed while it was on its way: here it is again, to be saved as a change
    return here;
  });
}

async function skip() {
  if (task.revision || busy) return;
  const reason = await ask({ title: "Why do you skip this task?", quick: WHY_SKIP, go: "Skip" });
  if (reason !== null) deliver(`/api/tasks/${task.assignment}/skip`, { reason }, () => remember("Skipped.", here));
}

function decline() {
  deliver(`/api/tasks/${task.assignment}/decline`, {}, () => remember("You will get no more such tasks. Your own page can change that.", "/me"));
}

function unveil() {
  veiled = false;
  $("dock").append($("trouble"));
  $("warned").remove();
  $("shown").inert = false;
  $("shown").classList.remove("veiled");
  $("dock").hidden = false;
  refresh();
  form.focus();
}

// --- keys -----------------------------------------------------------------------------------------------------------

const COMMANDS = {
  u: () => !veiled && form.undo(),
  s: skip,
  v: () => veiled && unveil(),
  p: () => $("previous")?.click(),
  n: () => $("following")?.click(),
  g: () => $("guidelines").showModal(),
  "?": () => $("guidelines").showModal(),
};

/** Whether the key belongs to what has the focus: a text, a list, or a button that Enter or Space presses. */
function isTheirs(event) {
  const target = event.target;
  if (target.closest("dialog:not([open])")) return false; // just closed: the focus is still on its way back
  if (target.matches("textarea, input:not([type=radio], [type=checkbox]), select")) return true;
  if (event.key === " ") return true;
  return event.key === "Enter" && target.matches("button, a, summary, input[type=checkbox]");
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || document.querySelector("dialog[open]")) {
    if (event.key === "?" && $("guidelines").open) $("guidelines").close();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (!event.repeat) submit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") document.activeElement?.blur();
  if (isTheirs(event) || !$("keys-on").checked) return;
  if (event.key === "Enter") {
    if (!event.repeat) submit();
  } else if (veiled || !form.key(event)) {
    if (!Object.hasOwn(COMMANDS, event.key)) return;
    COMMANDS[event.key]();
  }
  event.preventDefault();
});

function legend() {
  const common = [
    [["Enter"], "submit"], [["Ctrl", "Enter"], "submit, also from a text"], [["u"], "undo"], [["s"], "skip, with a reason"],
    [["p"], "previous answer"], [["n"], "next"], [["g", "?"], "guidelines"], [["Esc"], "close"],
  ];
  const own = form.keys.filter(([keys]) => keys[0] !== "Esc");
  $("keys").replaceChildren(...[...own, ...common].flatMap(([keys, words]) => [
    el("dt", {}, ...keys.flatMap((key, k) => (k ? [" ", el("kbd", {}, key)] : [el("kbd", {}, key)]))), el("dd", {}, words),
  ]));
  $("keys-on").checked = localStorage.getItem(KEYS_OFF) === null;
  $("keys-on").addEventListener("change", () => {
    if ($("keys-on").checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  });
}

// --- begin ----------------------------------------------------------------------------------------------------------

$("submit").addEventListener("click", submit);
$("undo").addEventListener("click", () => form.undo());
for (const button of document.querySelectorAll('[data-do="skip"]')) button.addEventListener("click", skip);
$("open-guidelines").addEventListener("click", () => $("guidelines").showModal());
if (veiled) $("warned").append($("trouble")); // the dock is hidden, and what goes wrong must be seen
$("show")?.addEventListener("click", unveil);
$("decline")?.addEventListener("click", decline);
$("rested").addEventListener("click", () => {
  watch.rested();
  $("rest").hidden = true;
});
addEventListener("pageshow", (event) => event.persisted && location.reload());

for (const one of document.querySelectorAll(".given .text")) one.replaceWith(text(one.textContent));
legend();
const kept = keep.found();
const begun = kept?.payload ?? task.draft ?? task.answer;
if (begun) form.restore(begun);
if (kept) changed();
else refresh();
if (kept || task.draft) $("kept").textContent = task.revision ? "Your change is back; it is not sent yet." : "Your draft is back.";
say(task.state);
showSaved($("toast"));
$("dock").hidden = veiled;
if (!veiled) form.focus();
