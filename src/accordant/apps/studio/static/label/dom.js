// Elements without markup: text is only ever put in as text, so that nothing a model wrote can become a tag.

/** An element with attributes (true: present, false or null: absent) and children, which are elements or text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/** The letter of an answer on the screen: 0 is A. */
export const letter = (place) => String.fromCharCode(65 + place);

/** "A", "A and B", "A, B and C". */
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

const FENCED = /^([ \t]*```[^`\n]*$(?:\n(?![ \t]*```)[^\n]*)*(?:\n[ \t]*```[^\n]*)?\n?)/m;

/** A text as it was written: line breaks stay, and it runs in its own direction. From ``` to ``` it is code, in letters of one width. */
export function text(content) {
  const parts = content.split(FENCED).map((part, k) => (k % 2 ? el("code", { dir: "ltr" }, part) : part));
  return el("div", { class: "text", dir: "auto" }, ...parts);
}

/** A labelled radio button; `chosen` is called when it is chosen. */
export function radio(name, value, words, chosen, attributes = {}) {
  const input = el("input", { type: "radio", name, value, ...attributes });
  input.addEventListener("change", chosen);
  return { input, label: el("label", { class: "choice" }, input, el("span", {}, ...words)) };
}
