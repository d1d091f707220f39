// The box at the bottom: messages with files, and commands with their options.
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { FilePicker } from "./files.js";
import { openMenu } from "./menu.js";
import { CommandForm } from "./command.js";
import { SUGGESTING, Suggestions } from "./suggestions.js";

export class Composer {
  constructor(form, app) {
    this.form = form;
    this.app = app;
    this.suggestions = new Suggestions();
    this.files = new FilePicker(app, { label: "Files of the message", most: 10, changed: () => this.drawFiles() });
    this.input = h("textarea", {
      ...SUGGESTING, id: "composer-input", rows: 1, maxLength: 2000, "aria-label": "Message",
      oninput: () => this.typed(), onkeydown: (event) => this.key(event), onpaste: (event) => this.files.paste(event),
      onblur: () => this.suggestions.hide(), onfocus: () => this.typed(),
    });
    this.plus = h("button.round-button.plus", { type: "button", "aria-label": "Attach a file or use a command", "aria-haspopup": "menu", title: "Attach a file or use a command", onclick: () => this.more() }, icon("plus"));
    this.send = h("button.round-button.send", { type: "submit", "aria-label": "Send", title: "Send" }, icon("send"));
    this.box = h("div.composer-box");
    form.append(this.suggestions.element, this.box);
    form.addEventListener("submit", (event) => { event.preventDefault(); (this.command ? this.command.send() : this.say()); });
    this.text();
  }

  /** Shows the box for messages. */
  text() {
    this.command = null;
    this.suggestions.hide();
    fill(this.box, this.files.list, h("div.input-line", {}, this.plus, this.input, this.send));
    this.drawFiles();
    this.grow();
  }

  drawFiles() {
    this.files.list.hidden = !this.files.chosen.length;
  }

  focus() {
    (this.command ?? this.input).focus();
  }

  /** Adapts to the channel. */
  place(name) {
    this.input.placeholder = `Message ${name}`;
    this.input.setAttribute("aria-label", `Message ${name}`);
    if (this.command) this.text();
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, innerHeight / 3)}px`;
  }

  /** Files that were dropped on the chat. */
  dropped(files) {
    if (this.command) this.command.takeFiles(files);
    else this.files.add(files).then(() => this.focus());
  }

  more() {
    openMenu(this.plus, "Attach", [
      { label: "Upload files", act: () => this.files.input.click() },
      { label: "Example pictures", items: this.app.examples.map((example) => ({ label: example.title, hint: example.role === "content" ? "photo" : "style", act: () => { this.files.useExample(example); this.focus(); } })) },
      { label: "Use a command", hint: "/", act: () => { this.input.value = "/"; this.focus(); this.typed(); } },
    ]);
  }

  key(event) {
    if (this.suggestions.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.say();
    } else if (event.key === "Escape" && this.input.value.startsWith("/")) {
      this.input.value = "";
      this.typed();
    }
  }

  async typed() {
    this.grow();
    const text = this.input.value;
    if (!text.startsWith("/") || text.includes("\n") || this.command) { this.suggestions.hide(); return; }
    const commands = await this.app.slashCommands();
    if (this.input.value !== text || this.command || document.activeElement !== this.input) return;
    const typed = text.slice(1).toLowerCase();
    const exact = commands.find((command) => `${command.shown} ` === typed || `${command.name} ` === typed);
    if (exact) { this.use(exact); return; }
    const rank = (command) => (command.shown.startsWith(typed) || command.name.startsWith(typed) ? 0 : command.shown.includes(typed) ? 1 : 2);
    const found = commands.filter((command) => rank(command) < 2).sort((a, b) => rank(a) - rank(b));
    this.suggestions.show(this.input, `Commands matching ${text}`, found.map((command) => ({
      label: `/${command.shown}`, description: command.description, hint: this.app.bot.name, icon: this.app.avatar(this.app.bot), pick: () => this.use(command),
    })));
  }

  /** Begins to fill in a command. */
  use(command, options = {}) {
    this.input.value = "";
    this.command = new CommandForm(this, command, options);
    fill(this.box, this.command.element);
    this.command.focus();
  }

  async say() {
    const content = this.input.value.trim();
    const files = this.files.files;
    if ((!content && !files.length) || this.files.busy || this.saying) return;
    this.saying = true;
    try {
      // Who types fast presses Enter before the list of commands is there.
      const command = content.startsWith("/") && (await this.app.slashCommands()).find((each) => [each.name, each.shown].includes(content.slice(1)));
      if (command) {
        if (!this.command) this.use(command);
        return;
      }
      await this.app.live.ask("say", { channel: this.app.channel.id, content, files });
      this.input.value = "";
      this.files.chosen = [];
      this.files.draw();
      this.drawFiles();
      this.grow();
      this.app.messages.toEnd();
    } catch (error) {
      this.app.toast(error.message);
    } finally {
      this.saying = false;
    }
  }
}
