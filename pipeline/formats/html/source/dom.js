// Elements of the page: made without markup, so that no text of a transcript is ever read as HTML.

/**
 * An element with attributes and children; text is always text.
 * `class`, `aria-…`, `data-…` and the like are attributes, functions are listeners (`click: () => …`), `false`, null
 * and undefined are left out.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An SVG element with attributes and children. */
export function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

const SHAPES = {
  play: "M7 4.5v15l12.5-7.5z",
  pause: "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
  in: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  out: "M5 11h14v2H5z",
  whole: "M3 6h2v12H3zM19 6h2v12h-2zM9 8v3h6V8l4 4-4 4v-3H9v3l-4-4z",
  previous: "M15.5 5 17 6.5 11.4 12l5.6 5.5-1.5 1.5-7-7z",
  next: "M8.5 5 7 6.5l5.600 5.500L7 17.500 8.500 19l7-7z",
  up: "M12 8l7 7-1.500 1.500L12 11l-5.500 5.500L5 15z",
  down: "M12 16l7-7-1.500-1.500L12 13 6.500 7.500 5 9z",
  sound: "M4 9.500v5h3.500L12 19V5L7.500 9.500zM15 8.600v6.800a4 4 0 0 0 0-6.800z",
  target: "M11 3h2v3.100A6 6 0 0 1 17.900 11H21v2h-3.100A6 6 0 0 1 13 17.900V21h-2v-3.100A6 6 0 0 1 6.100 13H3v-2h3.100A6 6 0 0 1 11 6.100zm1 5a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
};

/** A small picture on a button; the button's label says what it does. */
export function icon(name) {
  return drawing("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, drawing("path", { d: SHAPES[name] }));
}

/** A button with a picture, its label for screen readers and as a tooltip. */
export function iconButton(name, label, attributes) {
  return element("button", { type: "button", class: "icon-button", "aria-label": label, title: label, ...attributes }, icon(name));
}

/** Whether the person asked for little movement. */
export function reducedMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
