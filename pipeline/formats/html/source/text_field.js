// A field in which a text of the page is edited in its place: a word, a turn or a name.

import { element } from "./dom.js";

/**
 * Edits a text where it stands: the field takes the place of the `hidden` elements. Enter and leaving the field take what
 * was written, Escape does not; Tab takes it and goes on (`onTab` is given 1, or -1 with Shift).
 * @param {{hidden: HTMLElement[], text: string, label: string, multiline?: boolean, onDone: (text: string | null) => void,
 *   onTab?: (by: number) => void}} options
 */
export function editText({ hidden, text, label, multiline = false, onDone, onTab }) {
  const field = element(multiline ? "textarea" : "input", {
    class: "edited", "aria-label": label, spellcheck: "true", autocomplete: "off", autocapitalize: "off", ...(multiline ? { rows: 1 } : { type: "text" }),
  });
  let isOver = false;
  const finish = (written) => {
    if (isOver) return;
    isOver = true;
    field.remove();
    for (const one of hidden) one.hidden = false;
    onDone(written);
  };
  const fit = () => {
    if (multiline) {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight + 2}px`;
    } else {
      field.style.width = `${Math.max(4, field.value.length + 2)}ch`;
    }
  };
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") finish(field.value);
    else if (event.key === "Escape") finish(null);
    else if (event.key === "Tab" && onTab) {
      finish(field.value);
      onTab(event.shiftKey ? -1 : 1);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  field.addEventListener("input", fit);
  field.addEventListener("blur", () => finish(field.value));
  for (const type of ["click", "dblclick", "pointerdown"]) field.addEventListener(type, (event) => event.stopPropagation());
  field.value = text;
  hidden[0].before(field);
  for (const one of hidden) one.hidden = true;
  fit();
  field.focus({ preventScroll: true });
  if (!multiline) field.select();
}
