// Menus and lists of choices that open over the page. They close with Escape and a press elsewhere.
import { h } from "./dom.js";
import { icon } from "./icons.js";

/** Opens an element as a popover beside `at`, an element or a point, and returns it. */
function open(at, element) {
  const anchor = at instanceof Element ? at : document.activeElement;
  const host = (at instanceof Element && at.closest("dialog, [popover]")) || document.getElementById("overlays");
  element.popover = "auto";
  host.append(element);
  element.showPopover();
  place(at, element);
  element.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    const inside = element.contains(document.activeElement) || document.activeElement === document.body;
    element.remove();
    if (inside && anchor?.isConnected) anchor.focus();
  });
  return element;
}

function place(at, element) {
  const box = at instanceof Element ? at.getBoundingClientRect() : { left: at.x, right: at.x, top: at.y, bottom: at.y, width: 0 };
  const sideways = at instanceof Element && at.closest("[role=menu]");
  const size = element.getBoundingClientRect();
  let [x, y] = sideways ? [box.right, box.top] : [box.left, box.bottom + (box.width ? 4 : 0)];
  if (x + size.width > innerWidth - 8) x = sideways && box.left > size.width ? box.left - size.width : innerWidth - 8 - size.width;
  if (y + size.height > innerHeight - 8) y = sideways ? innerHeight - 8 - size.height : box.top - size.height - 4;
  element.style.left = `${Math.max(8, x)}px`;
  element.style.top = `${Math.max(8, y)}px`;
}

function keys(element, selector) {
  const items = () => [...element.querySelectorAll(selector)].filter((item) => item.closest("[role=menu], [role=listbox]") === element);
  element.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) all[(to + all.length) % all.length].focus();
    else if (event.key === "ArrowLeft" && element.parentElement.closest("[role=menu]")) element.hidePopover();
    else if (event.key === "ArrowRight" && all[at].ariaHasPopup) all[at].click();
    else if (event.key === "Tab") element.hidePopover();
    else if (event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey) {
      const letter = event.key.toLowerCase();
      const next = [...all.slice(at + 1), ...all.slice(0, at + 1)].find((item) => item.textContent.trim().toLowerCase().startsWith(letter));
      next?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  (items().find((item) => item.ariaSelected === "true") ?? items()[0])?.focus();
}

/** Opens a menu. Items are `{label, act, danger, hint}`, `{label, items}` for a menu within it, or null for a line. */
export function openMenu(at, label, items) {
  const element = h("div.menu", { role: "menu", "aria-label": label });
  const closeAll = () => document.querySelectorAll("[popover].menu").forEach((each) => each.matches(":popover-open") && each.hidePopover());
  for (const item of items) {
    if (!item) {
      element.append(h("div.line", { role: "separator" }));
      continue;
    }
    const act = () => {
      if (!item.items) { closeAll(); item.act(); }
      else if (!element.querySelector(":scope > .menu:popover-open")) openMenu(button, item.label, item.items);
    };
    const button = h(`button.menu-item${item.danger ? ".danger" : ""}`, {
      type: "button", role: "menuitem", tabIndex: -1, onclick: act, "aria-haspopup": item.items ? "menu" : null,
      onpointerenter: (event) => { if (item.items && event.pointerType === "mouse") act(); },
    }, h("span.label", {}, item.label), item.hint && h("span.hint", {}, item.hint), item.items && icon("right"));
    element.append(button);
  }
  open(at, element);
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  keys(element, "[role=menuitem]");
  return element;
}

/** A select menu: a button that shows what is chosen and opens the list. `changed` gets the values when it closes. */
export function selectMenu({ label, placeholder, options, selected, min = 1, max = 1, disabled = false, changed }) {
  let values = [...selected];
  const shown = h("span.select-shown");
  const show = () => {
    const names = values.map((value) => options.find((option) => option.value === value)?.label ?? value);
    shown.replaceChildren(...(names.length > 1 ? names.map((name) => h("span.chip", {}, name)) : [names[0] ?? placeholder]));
    shown.classList.toggle("placeholder", !names.length);
    button.setAttribute("aria-label", `${label}: ${names.join(", ") || placeholder}`);
  };
  const button = h("button.select", {
    type: "button", "aria-haspopup": "listbox", disabled,
    onclick: () => openList(),
    onkeydown: (event) => { if (event.key === "ArrowDown") { event.preventDefault(); openList(); } },
  }, shown, icon("down"));
  const openList = () => {
    const before = values.join();
    const list = h("div.menu.listbox", { role: "listbox", "aria-label": label, "aria-multiselectable": String(max > 1) });
    list.style.setProperty("--width", `${button.offsetWidth}px`);
    const pick = (option, item) => {
      const has = values.includes(option.value);
      if (max === 1) {
        values = has && min === 0 ? [] : [option.value];
        list.hidePopover();
        return;
      }
      if (has) values = values.filter((value) => value !== option.value);
      else if (values.length < max) values = [...values, option.value];
      item.ariaSelected = String(values.includes(option.value));
      show();
    };
    for (const option of options) {
      const item = h("button.menu-item.option", { type: "button", role: "option", tabIndex: -1, "aria-selected": String(values.includes(option.value)), onclick: () => pick(option, item) },
        option.emoji && h("span.emoji", {}, option.emoji),
        h("span.label", {}, option.label, option.description && h("span.description", {}, option.description)),
        h("span.check", { "aria-hidden": "true" }));
      list.append(item);
    }
    list.addEventListener("toggle", (event) => {
      if (event.newState !== "closed") return;
      show();
      if (values.join() === before) return;
      if (values.length >= min) changed?.(values);
      else { values = before ? before.split(",") : []; show(); }
    });
    open(button, list);
    keys(list, "[role=option]");
  };
  show();
  return Object.defineProperty(button, "values", { get: () => values });
}
