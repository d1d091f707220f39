// A slash command that is being filled in: its options, their choices and suggestions, and the files they take.
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { FilePicker } from "./files.js";
import { COMBOBOX } from "./suggestions.js";

const [STRING, INTEGER, BOOLEAN, USER, NUMBER, ATTACHMENT] = [3, 4, 5, 6, 10, 11];
const TYPING = 150; // milliseconds without a key before the bot is asked for suggestions

export class CommandForm {
  /** `command` is `{name, shown, description, options}`. */
  constructor(composer, command) {
    Object.assign(this, { composer, command, app: composer.app, suggestions: composer.suggestions, used: [] });
    this.cards = h("div.option-cards");
    this.pills = h("div.option-pills");
    this.rest = h("input.rest", {
      ...COMBOBOX, type: "text", "aria-label": `Add an option to /${command.shown}`,
      oninput: () => this.offer(), onfocus: () => this.offer(), onblur: () => this.suggestions.hide(), onkeydown: (event) => this.restKey(event),
    });
    const cancel = h("button.round-button", { type: "button", "aria-label": "Cancel the command", title: "Cancel (Esc)", onclick: () => this.cancel() }, icon("close"));
    this.element = h("div.command", { role: "group", "aria-label": `Command ${command.shown}` },
      h("div.command-head", {}, h("b", {}, `/${command.shown}`), h("span.description", {}, command.description), cancel),
      this.cards,
      h("div.input-line", {}, h("div.option-flow", {}, this.pills, this.rest), composer.send));
    for (const option of command.options) if (option.required) this.add(option);
    this.count();
  }

  get left() {
    return this.command.options.filter((option) => !this.used.some((each) => each.option === option));
  }

  count() {
    const { length } = this.left;
    this.rest.placeholder = length ? `+${length} optional` : "";
    this.rest.readOnly = !length;
  }

  focus() {
    (this.used.find((field) => field.option.required && !field.filled()) ?? this.rest).focus();
  }

  cancel() {
    this.composer.text();
    this.composer.focus();
  }

  /** Adds an option to fill in. */
  add(option) {
    const field = option.type === ATTACHMENT ? this.fileField(option) : this.valueField(option);
    field.option = option;
    this.used.push(field);
    this.count();
    return field;
  }

  remove(field) {
    field.element.remove();
    this.used = this.used.filter((each) => each !== field);
    this.count();
    this.rest.focus();
  }

  name(option) {
    return this.app.localized(option, "name");
  }

  offer() {
    const typed = this.rest.value.trim().toLowerCase().replace(/:$/, "");
    const found = this.left.filter((option) => this.name(option).toLowerCase().startsWith(typed) || option.name.startsWith(typed));
    this.suggestions.show(this.rest, found.length ? "Options" : null, found.map((option) => ({
      label: this.name(option), description: this.app.localized(option, "description"),
      pick: () => { this.rest.value = ""; this.add(option).focus(); },
    })), typed ? 0 : -1);
  }

  restKey(event) {
    if (this.suggestions.key(event)) return;
    if (event.key === "Escape") { event.preventDefault(); this.cancel(); } else if (event.key === "Backspace" && !this.rest.value) {
      const last = this.used.findLast((field) => !field.option.required);
      if (last) this.remove(last);
      else this.cancel();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.send();
    } else if (event.key === ":" || event.key === " ") {
      const exact = this.left.find((option) => this.name(option) === this.rest.value);
      if (!exact) return;
      event.preventDefault();
      this.suggestions.hide();
      this.rest.value = "";
      this.add(exact).focus();
    }
  }

  fileField(option) {
    const name = this.name(option);
    const style = /style/.test(option.name);
    const picker = new FilePicker(this.app, { label: `${name}: ${this.app.localized(option, "description")}`, types: option.file_types, role: style ? "style" : "content", changed: () => { field.complain(null); this.focusAfter(field); } });
    const problem = h("p.problem", { role: "alert", hidden: true });
    const remove = !option.required && h("button.tool", { type: "button", "aria-label": `Remove the option ${name}`, title: "Remove the option", onclick: () => this.remove(field) }, icon("close"));
    const field = {
      picker,
      element: h("div.option-card", {}, h("div.option-name", {}, h("b", {}, name), option.required && h("span.required", { title: "Required" }, " *"), h("span.description", {}, this.app.localized(option, "description")), remove), picker.element, problem),
      focus: () => picker.focus(),
      filled: () => picker.files.length > 0,
      value: () => picker.files[0],
      complain: (sentence) => Object.assign(problem, { textContent: sentence ?? "", hidden: !sentence }),
      problem: () => (picker.busy ? "The file is still being uploaded." : picker.files.length ? null : option.required ? "This option is required. Choose a file." : "Choose a file, or remove the option."),
    };
    this.cards.append(field.element);
    return field;
  }

  /** After a file was chosen: the next required option, or the rest. */
  focusAfter(field) {
    if (!field.picker.files.length) return;
    this.focus();
  }

  valueField(option) {
    const name = this.name(option);
    let picked; // the choice that the text stands for
    const choices = this.choicesOf(option);
    const problem = h("span.problem", { role: "alert", hidden: true });
    const input = h("input", {
      ...COMBOBOX, type: "text", inputMode: [INTEGER, NUMBER].includes(option.type) ? "numeric" : "text", "aria-label": `${name}: ${this.app.localized(option, "description")}`,
      oninput: () => { picked = undefined; field.complain(null); size(); suggest(); }, onfocus: () => suggest(), onblur: () => this.suggestions.hide(),
      onkeydown: (event) => key(event),
    });
    const size = () => { input.size = Math.max(4, Math.min(input.value.length + 1, 40)); };
    const take = (choice) => { picked = choice; input.value = choice.name; size(); field.complain(null); this.focus(); };
    const show = (found) => this.suggestions.show(input, found.length ? this.app.localized(option, "description") : null, found.map((choice) => ({ label: choice.name, hint: choice.hint, pick: () => take(choice) })));
    let timer;
    const suggest = () => {
      const typed = input.value;
      if (choices) {
        const text = typed.toLowerCase();
        show(picked ? choices : choices.filter((choice) => choice.name.toLowerCase().includes(text)));
      } else if (option.autocomplete) {
        clearTimeout(timer);
        timer = setTimeout(async () => {
          const asked = await this.app.live.ask("autocomplete", { channel: this.app.channel.id, command: this.command.name, option: option.name, text: typed, options: this.values({ files: false, but: field }) }).catch(() => ({ choices: [] }));
          if (input.value === typed && document.activeElement === input) show(asked.choices.map((choice) => ({ name: this.app.localized(choice, "name"), value: choice.value })));
        }, typed ? TYPING : 0);
      } else this.suggestions.hide();
    };
    const key = (event) => {
      if (this.suggestions.key(event)) return;
      if (event.key === "Enter") { event.preventDefault(); this.send(); }
      else if (event.key === "Backspace" && !input.value && !option.required) { event.preventDefault(); this.remove(field); }
      else if (event.key === "Escape") { event.preventDefault(); this.cancel(); }
    };
    const parsed = () => {
      const text = input.value.trim();
      if (picked) return picked.value;
      if (choices) return choices.find((choice) => choice.name.toLowerCase() === text.toLowerCase())?.value;
      if (option.type === INTEGER) return /^-?\d+$/.test(text) ? Number(text) : undefined;
      if (option.type === NUMBER) return text !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined;
      return option.type === STRING ? text : undefined;
    };
    const wrong = () => {
      if (!input.value.trim()) return option.required ? "This option is required. Specify a value." : "Specify a value, or remove the option.";
      const value = parsed();
      if (value === undefined) return choices ? "Choose one of the values." : option.type === STRING ? "This value does not fit." : "Specify a number.";
      if (picked || choices) return null;
      const [size, low, high] = option.type === STRING ? [value.length, option.min_length, option.max_length] : [value, option.min_value, option.max_value];
      const unit = option.type === STRING ? " characters" : "";
      if (low !== undefined && size < low) return `At least ${low}${unit}.`;
      return high !== undefined && size > high ? `At most ${high}${unit}.` : null;
    };
    const field = {
      element: h("div.option-pill", {}, h("span.pill-name", {}, name), input, problem),
      focus: () => input.focus(),
      filled: () => input.value.trim() !== "",
      value: parsed,
      problem: wrong,
      complain: (sentence) => {
        Object.assign(problem, { textContent: sentence ?? "", hidden: !sentence });
        input.setAttribute("aria-invalid", String(Boolean(sentence)));
      },
    };
    size();
    this.pills.append(field.element);
    return field;
  }

  /** The values that an option offers, or null. */
  choicesOf(option) {
    if (option.choices) return option.choices.map((choice) => ({ name: this.app.localized(choice, "name"), value: choice.value }));
    if (option.type === BOOLEAN) return [{ name: "True", value: true }, { name: "False", value: false }];
    if (option.type === USER) return this.app.members.map((member) => ({ name: member.name, value: member.id, hint: member.role }));
    return null;
  }

  values({ files = true, but = null } = {}) {
    const given = this.used.filter((field) => field !== but && (files || field.option.type !== ATTACHMENT) && !field.problem());
    return Object.fromEntries(given.map((field) => [field.option.name, field.value()]));
  }

  /** Files that were dropped on the chat fill the options that take files, the empty ones first. */
  takeFiles(files) {
    for (const file of files) {
      const field = this.used.find((each) => each.picker && !each.filled() && !each.picker.busy) ?? this.addFileOption();
      if (!field) { this.app.toast("This command takes no further file."); return; }
      field.picker.add([file]);
    }
  }

  addFileOption() {
    const option = this.left.find((each) => each.type === ATTACHMENT);
    return option && this.add(option);
  }

  send() {
    let first = null;
    for (const field of this.used) {
      const problem = field.problem();
      field.complain(problem);
      if (problem) first ??= field;
    }
    if (first) { first.focus(); return; }
    const options = this.values();
    this.cancel();
    this.app.run(`/${this.command.shown}`, "invoke", { channel: this.app.channel.id, command: this.command.name, options });
  }
}
