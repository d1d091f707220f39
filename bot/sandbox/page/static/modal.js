// The forms that the bot opens (Discord: Components, modals), and the picker of files in them.
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { markdown } from "./markdown.js";
import { selectMenu } from "./menu.js";
import { FilePicker } from "./files.js";

/** Shows a form. `submit` gets the fields by custom id, sends them, and returns a sentence if that failed. */
export function openModal(modal, app, submit) {
  const fields = [];
  const problem = h("p.problem", { role: "alert", hidden: true });
  const send = h("button.button.primary", { type: "submit" }, "Submit");
  const cancel = h("button.button.secondary", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const close = h("button.round-button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const form = h("form", {
    novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      if (send.disabled) return;
      const wrong = fields.filter((field) => !field.check());
      if (wrong.length) { wrong[0].focus(); return; }
      send.disabled = true;
      const failure = await submit(Object.fromEntries(fields.map((field) => [field.name, field.value()]))).catch((error) => error.message);
      send.disabled = false;
      if (!failure) dialog.close();
      else Object.assign(problem, { textContent: failure, hidden: false });
    },
  },
    h("header", {}, app.avatar(app.bot), h("h2", { id: "modal-title" }, modal.title), close),
    h("p.notice", {}, `This form goes to ${app.bot.name}.`),
    h("div.fields", {}, modal.components.map((part) => field(part, fields, app)).filter(Boolean)),
    problem,
    h("footer", {}, cancel, send));
  const dialog = h("dialog.modal", { "aria-labelledby": "modal-title", onclose: () => dialog.remove() }, form);
  document.getElementById("overlays").append(dialog);
  dialog.showModal();
  (fields[0] ?? close).focus();
}

function field(part, fields, app) {
  if (part.type === 10) return h("div.text-display", {}, markdown(part.content, app.names));
  const inner = part.type === 18 ? part.component : part.components[0];
  const label = part.label ?? inner.label ?? "";
  const made = control(inner, label, part.description, app);
  fields.push(made);
  return h("div.field", {},
    h("label", { for: made.id, id: `${made.id}-label` }, label, required(inner) && h("span.required", { title: "Required" }, " *")),
    part.description && h("p.description", { id: `${made.id}-description` }, part.description),
    made.element, made.problem);
}

const required = (part) => part.required !== false;
let count = 0;

function control(part, label, description, app) {
  const id = `field-${++count}`;
  const problem = h("p.problem", { role: "alert", hidden: true });
  const complain = (sentence) => Object.assign(problem, { textContent: sentence ?? "", hidden: !sentence });
  const made = { id, name: part.custom_id, problem };
  if (part.type === 4) {
    const input = h(part.style === 2 ? "textarea" : "input", {
      id, value: part.value ?? "", placeholder: part.placeholder ?? "", maxLength: part.max_length ?? 4000,
      "aria-describedby": description ? `${id}-description` : null, "aria-required": String(required(part)),
    });
    const least = part.min_length ?? (required(part) ? 1 : 0);
    return Object.assign(made, {
      element: input, value: () => input.value, focus: () => input.focus(),
      check: () => {
        const short = (required(part) || input.value) && input.value.length < least;
        complain(short ? (input.value ? `Write at least ${least} characters.` : "This field is required.") : null);
        return !short;
      },
    });
  }
  const [least, most] = [part.min_values ?? 1, part.max_values ?? 1];
  const fits = (number) => (number === 0 && !required(part)) || number >= least;
  if (part.type === 19) {
    const picker = new FilePicker(app, { label, most, types: part.file_types, id });
    return Object.assign(made, {
      element: picker.element, value: () => picker.files, focus: () => picker.focus(),
      check: () => {
        complain(picker.busy ? "A file is still being uploaded." : fits(picker.files.length) ? null : "This file is required.");
        return !picker.busy && fits(picker.files.length);
      },
    });
  }
  const options = part.type === 3 ? part.options.map((option) => ({ ...option, emoji: option.emoji?.name })) : app.choices(part);
  const menu = selectMenu({
    label, placeholder: part.placeholder ?? "Make a selection", options, min: required(part) ? least : 0, max: most,
    selected: part.type === 3 ? part.options.filter((option) => option.default).map((option) => option.value) : (part.default_values ?? []).map((value) => value.id),
  });
  menu.id = id;
  return Object.assign(made, {
    element: menu, value: () => menu.values, focus: () => menu.focus(),
    check: () => { complain(fits(menu.values.length) ? null : "Choose a value."); return fits(menu.values.length); },
  });
}
