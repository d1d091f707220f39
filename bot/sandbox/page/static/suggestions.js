// The list over the composer: commands, options, choices. The focus stays in the input, as ARIA's combobox wants it.
import { fill, h } from "./dom.js";

export class Suggestions {
  constructor() {
    this.element = h("div.suggestions", { id: "suggestions", role: "listbox", "aria-label": "Suggestions", hidden: true, onpointerdown: (event) => event.preventDefault() });
    this.items = [];
    this.active = -1;
    this.input = null;
  }

  get open() {
    return !this.element.hidden;
  }

  /** Shows items `{label, description, hint, icon, pick}` for an input; `active` is the one that Enter picks. */
  show(input, title, items, active = 0) {
    if (this.input !== input) this.hide();
    Object.assign(this, { input, items });
    fill(this.element, title && h("div.suggestions-title", { role: "presentation" }, title), items.map((item, index) =>
      h("div.suggestion", { role: "option", id: `suggestion-${index}`, "aria-selected": "false", onclick: () => this.pick(index), onpointermove: () => this.mark(index) },
        item.icon, h("span.suggestion-label", {}, item.label), item.description && h("span.suggestion-description", {}, item.description), item.hint && h("span.hint", {}, item.hint))));
    this.element.hidden = !items.length;
    this.expand(items.length > 0);
    this.active = -1;
    this.mark(Math.min(active, items.length - 1));
  }

  hide() {
    this.element.hidden = true;
    this.items = [];
    this.active = -1;
    this.expand(false);
    this.input?.removeAttribute("aria-activedescendant");
    this.input = null;
  }

  /** Tells screen readers whether the list is open; a box for several lines has no such state. */
  expand(open) {
    if (this.input?.hasAttribute("aria-expanded")) this.input.setAttribute("aria-expanded", String(open));
  }

  mark(index) {
    if (index === this.active) return;
    const options = this.element.querySelectorAll("[role=option]");
    options[this.active]?.setAttribute("aria-selected", "false");
    this.active = index;
    if (index < 0) { this.input.removeAttribute("aria-activedescendant"); return; }
    options[index].setAttribute("aria-selected", "true");
    options[index].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", `suggestion-${index}`);
  }

  pick(index = this.active) {
    const item = this.items[index];
    this.hide();
    item?.pick();
  }

  /** Handles a key of the input; true if it was for the list. */
  key(event) {
    if (!this.open) return false;
    const count = this.items.length;
    if (event.key === "ArrowDown") this.mark((this.active + 1) % count);
    else if (event.key === "ArrowUp") this.mark((this.active <= 0 ? count : this.active) - 1);
    else if (event.key === "Enter" && this.active >= 0) this.pick();
    else if (event.key === "Tab" && this.active >= 0 && !event.shiftKey && event.target.value) { this.pick(); return true; }
    else if (event.key === "Escape") this.hide();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }
}

/** The attributes of a box for several lines that the list belongs to. ARIA knows comboboxes of one line only. */
export const SUGGESTING = { "aria-controls": "suggestions", "aria-autocomplete": "list", autocomplete: "off", spellcheck: false };
/** The attributes of an input that the list belongs to. */
export const COMBOBOX = { ...SUGGESTING, role: "combobox", "aria-expanded": "false" };
