// Dragging with mouse, pen or finger: pointer events, a copy that follows the pointer, and the slot below it.

const FAR = 6; // pixels before a press becomes a drag

/** Let `handle` be dragged onto elements with `data-rank`. `dropped(rank)` gets what the slot carries; a plain press is `pressed()`. */
export function draggable(handle, { dropped, pressed }) {
  let start = null;
  let ghost = null;
  let over = null;

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
    }
    ghost.style.transform = `translate(${event.clientX}px, ${event.clientY}px) translate(-50%, -50%)`;
    mark(document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-rank]") ?? null);
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
