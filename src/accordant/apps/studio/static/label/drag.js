// Dragging with mouse, pen or finger: pointer events, a copy that follows the pointer, and the slot below it.

const FAR = 6; // pixels before a press becomes a drag
const EDGE = 36; // pixels from the upper and the lower end of what scrolls

/**
 * Let `handle` be dragged onto elements with `data-rank`. `dropped(rank)` gets what the slot carries; a plain press is `pressed()`.
 * `within`: holds the slots, and scrolls while the pointer is at one of its ends.
 */
export function draggable(handle, { dropped, pressed, within }) {
  let start = null;
  let at = null; // where the pointer is
  let ghost = null;
  let over = null;

  function look() {
    mark(document.elementFromPoint(at.x, at.y)?.closest("[data-rank]") ?? null);
  }

  /** With each frame of a drag: further, the nearer the pointer is to the end. */
  function scroll() {
    if (!ghost) return;
    const box = within.getBoundingClientRect();
    const up = at.y < box.top ? 0 : Math.max(0, box.top + EDGE - at.y);
    const down = Math.min(EDGE, Math.max(0, at.y - box.bottom + EDGE));
    within.scrollBy(0, (down - up) / 4);
    if (down !== up) look();
    requestAnimationFrame(scroll);
  }

  function mark(slot) {
    over?.classList.remove("over");
    over = slot;
    over?.classList.add("over");
  }

  function end() {
    ghost?.remove();
    mark(null);
    start = null;
    ghost = null;
    handle.classList.remove("dragged");
  }

  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = { x: event.clientX, y: event.clientY };
    handle.setPointerCapture(event.pointerId);
    event.preventDefault(); // no selection of text, no dragging of the browser's own
  });
  handle.addEventListener("pointermove", (event) => {
    if (!start) return;
    if (!ghost && Math.hypot(event.clientX - start.x, event.clientY - start.y) < FAR) return;
    if (!ghost) {
      ghost = handle.cloneNode(true);
      ghost.removeAttribute("id");
      ghost.classList.add("ghost");
      ghost.setAttribute("aria-hidden", "true");
      document.body.append(ghost);
      handle.classList.add("dragged");
      requestAnimationFrame(scroll);
    }
    at = { x: event.clientX, y: event.clientY };
    ghost.style.transform = `translate(${at.x}px, ${at.y}px) translate(-50%, -50%)`;
    look();
  });
  handle.addEventListener("pointerup", () => {
    if (!start) return;
    const slot = over;
    const moved = ghost !== null;
    end();
    if (!moved) pressed();
    else if (slot) dropped(slot.dataset.rank);
  });
  handle.addEventListener("pointercancel", end);
}
