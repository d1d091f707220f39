// Builds elements. Text is always set as text, never parsed as HTML.

/** An element: `h("button.primary", {onclick, "aria-label": "…", disabled: true}, "text", child, …)`. */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key === "style") for (const [each, set] of Object.entries(value)) element.style.setProperty(each, set);
    else if (key in element && !key.startsWith("aria") && !["list", "form", "width", "height"].includes(key)) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Replaces everything in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** Says something to screen readers. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}

/** Lets the arrow keys move the focus among the items of a list; Tab goes to one of them. */
export function rove(list, selector, { horizontal = false } = {}) {
  const items = () => [...list.querySelectorAll(selector)].filter((item) => !item.disabled && item.offsetParent !== null);
  const [back, forward] = horizontal ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
  const only = (item) => { for (const each of items()) each.tabIndex = each === item ? 0 : -1; };
  only(items().find((item) => item.getAttribute("aria-current") || item.getAttribute("aria-selected") === "true") ?? items()[0]);
  list.addEventListener("focusin", (event) => { const item = event.target.closest(selector); if (item) only(item); });
  list.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    const to = { [back]: at - 1, [forward]: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all.length || at < 0) return;
    event.preventDefault();
    all[(to + all.length) % all.length].focus();
  });
}
