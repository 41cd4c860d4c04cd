// Time at work: counted while the page is seen and somebody does something, for the task and for the next break.

const IDLE = 120000; // milliseconds without a key or a movement, after which time does not count
const BREAK = 45 * 60000; // of work, after which a break is proposed
const PAUSE = 10 * 60000; // away for so long is a break
const WORKED = "worked"; // in sessionStorage: {ms, last}

/** `start`: milliseconds that were spent before; `tick(ms)` is called each second, `tired()` when a break is due. */
export function stopwatch({ start, tick, tired }) {
  let spent = start;
  let before = performance.now();
  let active = before;
  for (const kind of ["keydown", "pointerdown", "pointermove", "scroll"]) {
    addEventListener(kind, () => {
      active = performance.now();
    }, { passive: true });
  }

  function worked(ms) {
    const now = Date.now();
    const known = JSON.parse(sessionStorage.getItem(WORKED) ?? "null");
    const total = known && now - known.last < PAUSE ? known.ms + ms : ms;
    sessionStorage.setItem(WORKED, JSON.stringify({ ms: total, last: now }));
    return total;
  }

  setInterval(() => {
    const now = performance.now();
    const passed = now - before;
    before = now;
    if (document.hidden || now - active > IDLE) return;
    spent += passed;
    tick(spent);
    if (worked(passed) >= BREAK) tired();
  }, 1000);
  tick(spent);
  return { spent: () => Math.round(spent), rested: () => sessionStorage.removeItem(WORKED) };
}

/** 75000 -> "1:15". */
export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Calls `over()` when the lease of `ms` milliseconds has run out; `renew(ms)` begins it anew. */
export function lease(ms, over) {
  let timer = null;
  function renew(left) {
    clearTimeout(timer);
    if (left > 0) timer = setTimeout(over, left);
  }
  renew(ms);
  return { renew };
}
