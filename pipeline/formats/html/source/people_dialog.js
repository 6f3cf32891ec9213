// The dialog about people: their names, who is one person, and new ones.

import { suggestedName } from "./corrections.js";
import { element } from "./dom.js";

/** Lists everyone with a field for the name; corrections go through `onRename`, `onMerge` and `onAdd`. */
export class PeopleDialog {
  /**
   * @param {import("./people.js").People} people
   * @param {{onRename: (speaker: string, name: string) => void, onMerge: (from: string, into: string) => void, onAdd: () => void}} actions
   */
  constructor(people, actions) {
    this.people = people;
    this.actions = actions;
    this.rows = element("ul");
    this.dialog = element(
      "dialog", { id: "people-dialog", "aria-labelledby": "people-title" },
      element(
        "header", {},
        element("h2", { id: "people-title" }, "People"),
        element("button", { type: "button", click: () => this.dialog.close() }, "Close"),
      ),
      this.rows,
      element("button", { type: "button", click: () => this.#add() }, "Add a person"),
      element("p", {}, "A name holds for the whole transcript. “Same as” makes one person of two, with all that both say; Undo takes it back."),
    );
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    document.body.append(this.dialog);
  }

  open() {
    this.render();
    this.dialog.showModal();
    this.rows.querySelector("input")?.focus();
  }

  /** Shows the people as they are now. */
  render() {
    const focused = document.activeElement?.closest?.("#people-dialog li")?.dataset.speaker;
    const labels = this.people.everyone;
    this.rows.replaceChildren(...labels.map((label) => this.#row(label, labels)));
    if (focused) (this.#field(focused) ?? this.rows.querySelector("input"))?.focus();
  }

  #row(label, labels) {
    const name = this.people.name(label);
    const field = element("input", {
      type: "text", value: this.people.doc.speakers[label] ?? "", placeholder: label, "aria-label": `Name of ${name}`, autocomplete: "off",
      change: () => this.actions.onRename(label, field.value),
      keydown: (event) => event.key === "Enter" && (event.preventDefault(), field.blur(), this.#field(label)?.focus()),
    });
    const same = element(
      "select", { "aria-label": `Make ${name} the same person as`, disabled: labels.length < 2, change: () => this.actions.onMerge(label, same.value) },
      element("option", { value: "" }, "Same as…"),
      ...labels.filter((other) => other !== label).map((other) => element("option", { value: other }, this.people.name(other))),
    );
    const suggested = suggestedName(this.people.doc, label);
    const suggestion = suggested === null ? [] : [
      element("button", { type: "button", class: "suggestion", click: () => this.actions.onRename(label, suggested) }, `May be ${suggested}, by voice: use this name`),
    ];
    return element("li", { "data-speaker": label }, this.people.swatch(label), field, same, ...suggestion);
  }

  #field(label) {
    return [...this.rows.children].find((row) => row.dataset.speaker === label)?.querySelector("input");
  }

  #add() {
    this.actions.onAdd();
    this.rows.lastElementChild?.querySelector("input").focus();
  }
}
