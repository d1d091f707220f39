// The messages of one channel: the newest at the bottom, older ones as one scrolls up, each changed as soon as it is edited.
import { announce, fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { markdown } from "./markdown.js";
import { Renderer } from "./components.js";
import { openMenu } from "./menu.js";

const EPHEMERAL = 1 << 6;
const LOADING = 1 << 7;
const TOGETHER = 7 * 60e3; // milliseconds within which messages of one author share a heading
const EXPIRES = 15 * 60e3; // milliseconds for which a deferred answer can be filled
const ANNOUNCE_EVERY = 10e3; // milliseconds between two announcements of one message's edits
const NEAR = 120; // pixels from the end that count as the end

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export class MessageList {
  /** `app` knows the members, asks the server, and opens what a message may open. */
  constructor(box, app) {
    this.box = box;
    this.app = app;
    this.items = new Map();
    this.revealed = new Set();
    this.announced = new Map();
    this.list = h("ol.message-list");
    this.start = h("div.channel-start");
    this.jump = h("button.jump", { type: "button", hidden: true, onclick: () => this.toEnd() }, "Jump to the newest messages ", icon("down"));
    box.append(this.start, this.list);
    box.after(this.jump);
    box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    box.addEventListener("load", () => this.stick(), true);
    box.addEventListener("contextmenu", (event) => this.contextMenu(event));
    box.addEventListener("keydown", (event) => this.key(event));
    const observer = new ResizeObserver(() => this.stick());
    observer.observe(box);
    observer.observe(this.list);
    this.atEnd = true;
    this.lastTop = 0;
  }

  /** Shows a channel. */
  async open(channel, intro) {
    const opening = (this.opening = Symbol("opening"));
    this.channel = channel.id;
    const { messages, more } = await this.app.live.ask("open", { channel: channel.id });
    if (this.opening !== opening) return;
    this.items.clear();
    this.list.replaceChildren();
    fill(this.start, intro);
    this.more = more;
    this.start.hidden = more;
    for (const message of messages) this.list.append(this.make(message));
    this.regroup();
    this.toEnd();
  }

  async loadOlder() {
    if (!this.more || this.loading) return;
    this.loading = true;
    try {
      const { channel } = this;
      const before = this.list.querySelector("li[data-id]")?.dataset.id;
      const { messages, more } = await this.app.live.ask("open", { channel, before });
      if (channel !== this.channel) return;
      // The browser would keep the place, too, but not at the very top.
      this.box.style.overflowAnchor = "none";
      const height = this.box.scrollHeight - this.box.scrollTop;
      this.more = more;
      this.start.hidden = more;
      this.list.prepend(...messages.map((message) => this.make(message)));
      this.regroup(0, messages.length + 1);
      this.box.scrollTop = this.box.scrollHeight - height;
      requestAnimationFrame(() => { this.box.style.overflowAnchor = ""; });
    } catch {
      // The connection was lost; the next scroll asks again.
    } finally {
      this.loading = false;
    }
  }

  /** Applies a change of a message. */
  apply({ change, message }) {
    if (message.channel_id !== this.channel) return;
    const item = this.items.get(message.id);
    if (change === "delete") {
      if (!item) return;
      const above = item.element.previousElementSibling;
      if (above?.matches(".divider")) above.remove();
      item.element.remove();
      this.items.delete(message.id);
      this.regroup();
    } else if (item) {
      this.update(item, message);
    } else if (change === "create") {
      this.list.append(this.make(message));
      this.regroup(this.items.size - 1);
      this.speak(message);
    }
    this.stick();
  }

  make(message) {
    const element = h("li.message", { tabIndex: -1, dataset: { id: message.id } });
    const item = { message, element };
    this.items.set(message.id, item);
    this.draw(item);
    return element;
  }

  update(item, message) {
    const { element } = item;
    const focused = element.contains(document.activeElement) ? document.activeElement.dataset.customId : undefined;
    const old = [...element.querySelectorAll(".content img")];
    item.message = message;
    this.draw(item);
    keepPictures(old, [...element.querySelectorAll(".content img")]);
    if (focused !== undefined) (element.querySelector(`[data-custom-id="${CSS.escape(focused)}"]`) ?? element).focus();
    this.speak(message, true);
  }

  draw({ message, element }) {
    const { app } = this;
    const ephemeral = Boolean(message.flags & EPHEMERAL);
    const sent = new Date(message.timestamp);
    const time = h("time", { dateTime: message.timestamp, title: full.format(sent) }, clock.format(sent));
    const name = message.author.global_name ?? message.author.username;
    element.classList.toggle("ephemeral", ephemeral);
    element.classList.toggle("pings-me", message.pings.includes(app.me));
    element.setAttribute("aria-label", `${name}, ${clock.format(sent)}`);
    fill(element,
      this.context(message),
      h("div.avatar-place", {}, app.avatar(message.author)),
      h("div.body", {},
        h("h3.heading-line", {}, h("span.author", { style: app.colourOf(message.author) }, name), message.author.bot && h("span.badge", {}, "APP"), time),
        h("div.content", {}, this.content(message), message.edited_timestamp && h("span.edited", { title: full.format(new Date(message.edited_timestamp)) }, "(edited)")),
        h("p.failed", { role: "alert", hidden: true }),
        ephemeral && h("div.only-you", {}, icon("eye"), "Only you can see this · ",
          h("button.link-button", { type: "button", onclick: () => this.dismiss(message) }, "Dismiss message"))),
      h("time.side-time", { "aria-hidden": "true" }, clock.format(sent)),
      h("div.tools", {}, h("button.tool", { type: "button", title: "More", "aria-label": "More actions", "aria-haspopup": "menu", onclick: (event) => this.menu(message, event.currentTarget) }, icon("dots"))));
  }

  /** The line above a message: which command or message it answers. */
  context(message) {
    const { app } = this;
    const metadata = message.interaction_metadata;
    if (message.command && metadata) {
      return h("div.reply-line", {}, h("span.spine", { "aria-hidden": "true" }), app.avatar(metadata.user), h("span.reply-author", { style: app.colourOf(metadata.user) }, metadata.user.global_name), " used ", h("span.command-name", {}, message.command.match(/^[a-z]/) ? `/${message.command}` : message.command));
    }
    const pressed = metadata?.interacted_message_id;
    if (pressed || "referenced_message" in message) {
      const original = pressed ? this.items.get(pressed)?.message : message.referenced_message;
      if (!original) return pressed ? null : h("div.reply-line", {}, h("span.spine", { "aria-hidden": "true" }), h("em", {}, "The original message was deleted"));
      return h("div.reply-line", {}, h("span.spine", { "aria-hidden": "true" }), app.avatar(original.author), h("span.reply-author", {}, original.author.global_name ?? original.author.username),
        h("button.link-button.quote", { type: "button", onclick: () => this.reveal(original.id) }, original.content.replace(/[`*~|]|^-# |<[^>]*>/g, "").slice(0, 120) || "Go to the message"));
    }
    return null;
  }

  content(message) {
    if (message.flags & LOADING) {
      const expired = Date.now() - new Date(message.timestamp) > EXPIRES;
      return expired ? h("span.failed", {}, "The application did not respond") : h("span.thinking", {}, h("span.dots", { "aria-hidden": "true" }, h("i"), h("i"), h("i")), `${message.author.username} is thinking…`);
    }
    const renderer = new Renderer(message, this.view(message));
    return [
      message.content && h("div.markdown", {}, markdown(message.content, this.app.names)),
      renderer.attachments(message.attachments),
      message.embeds.map((embed) => renderer.embed(embed)),
      message.components.length ? h("div.components", {}, renderer.components(message.components)) : null,
    ];
  }

  view(message) {
    return {
      names: this.app.names,
      revealed: { has: (key) => this.revealed.has(`${message.id}/${key}`), add: (key) => this.revealed.add(`${message.id}/${key}`) },
      choices: (part) => this.app.choices(part),
      press: (_, customId, button) => this.interact("press", { message: message.id, custom_id: customId }, button),
      choose: (_, customId, values, menu) => this.interact("choose", { message: message.id, custom_id: customId, values }, menu),
    };
  }

  /** Sends a press or a choice, and shows that the bot has not answered yet. */
  async interact(type, fields, control) {
    if (control.classList.contains("waiting")) return;
    control.classList.add("waiting");
    control.setAttribute("aria-busy", "true");
    const problem = await this.app.interact(type, fields).catch((error) => error.message);
    control.classList.remove("waiting");
    control.removeAttribute("aria-busy");
    const line = this.items.get(fields.message)?.element.querySelector("p.failed");
    if (line) Object.assign(line, { textContent: problem ?? "", hidden: !problem });
  }

  /** A line of the page's own at the end of the list: a command that was sent, or that failed. */
  note(content, className) {
    const element = h(`li.note.${className}`, {}, content);
    this.list.append(element);
    this.stick();
    return element;
  }

  dismiss(message) {
    this.app.live.ask("dismiss", { message: message.id }).catch((error) => this.app.toast(error.message));
    this.app.focusComposer();
  }

  /** Groups messages that follow each other, and draws a line between days, from one index to another. */
  regroup(from = 0, to = this.items.size) {
    const all = [...this.list.querySelectorAll(":scope > .message")];
    for (let at = Math.max(0, from); at < to; at++) {
      const { message } = this.items.get(all[at].dataset.id);
      const before = at > 0 ? this.items.get(all[at - 1].dataset.id).message : null;
      const sent = new Date(message.timestamp);
      const earlier = before && new Date(before.timestamp);
      const newDay = !earlier || sent.toDateString() !== earlier.toDateString();
      const follows = !newDay && before.author.id === message.author.id && sent - earlier < TOGETHER && !all[at].querySelector(".reply-line") && !((before.flags ^ message.flags) & EPHEMERAL);
      all[at].classList.toggle("follows", follows);
      const above = all[at].previousElementSibling;
      if (above?.matches(".divider")) above.remove();
      if (newDay) all[at].before(h("li.divider", {}, h("span", {}, day.format(sent))));
    }
  }

  speak(message, edited = false) {
    if (message.author.id === this.app.me) return;
    const last = this.announced.get(message.id) ?? 0;
    if (edited && Date.now() - last < ANNOUNCE_EVERY) return;
    this.announced.set(message.id, Date.now());
    const text = this.items.get(message.id).element.querySelector(".content").innerText.slice(0, 300);
    announce(`${message.author.global_name ?? message.author.username}: ${text}`);
  }

  scrolled() {
    const left = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
    // Pictures that load below also move the end away; only the reader scrolls up.
    if (left < NEAR) this.atEnd = true;
    else if (this.box.scrollTop < this.lastTop) this.atEnd = false;
    this.lastTop = this.box.scrollTop;
    this.jump.hidden = left < 600;
    if (this.box.scrollTop < 400) this.loadOlder();
  }

  stick() {
    if (this.atEnd) this.toEnd();
  }

  toEnd() {
    this.box.scrollTop = this.box.scrollHeight;
    this.atEnd = true;
  }

  reveal(id) {
    const element = this.items.get(id)?.element;
    if (!element) return;
    element.scrollIntoView({ block: "center" });
    element.focus();
  }

  key(event) {
    if (event.target !== this.box && !event.target.matches("li.message")) return;
    const all = [...this.list.querySelectorAll("li.message")];
    const at = all.indexOf(event.target);
    const to = { ArrowUp: at < 0 ? all.length - 1 : at - 1, ArrowDown: at < 0 ? all.length - 1 : at + 1, Home: at < 0 ? NaN : 0, End: all.length - 1 }[event.key];
    if (to !== undefined && all[to]) {
      event.preventDefault();
      all[to].focus();
    } else if (at >= 0 && (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey) || event.key === "Enter")) {
      event.preventDefault();
      this.menu(this.items.get(event.target.dataset.id).message, event.target.querySelector(".tool"));
    } else if (event.key === "Escape") this.app.focusComposer();
  }

  contextMenu(event) {
    const element = event.target.closest("li.message");
    if (!element || event.target.closest("a, dialog") || event.shiftKey) return;
    event.preventDefault();
    this.menu(this.items.get(element.dataset.id).message, { x: event.clientX, y: event.clientY });
  }

  async menu(message, at) {
    const { app } = this;
    const menus = (await app.commands(message.channel_id)).filter((command) => command.type === 3);
    const mine = message.author.id === app.me;
    const apps = menus.map((command) => ({ label: app.localized(command, "name"), hint: app.bot.name, act: () => app.run(app.localized(command, "name"), "menu", { message: message.id, command: command.name }) }));
    openMenu(at, "Message actions", [
      ...(apps.length ? [{ label: "Apps", items: apps }, null] : []),
      { label: "Copy text", act: () => navigator.clipboard.writeText(message.content) },
      { label: "Copy message ID", act: () => navigator.clipboard.writeText(message.id) },
      ...(message.flags & EPHEMERAL ? [{ label: "Dismiss message", act: () => this.dismiss(message) }]
        : mine || app.mayModerate() ? [null, { label: "Delete message", danger: true, act: () => app.live.ask("delete", { message: message.id }).catch((error) => app.toast(error.message)) }] : []),
    ]);
  }
}

/** Shows the old picture in the place of a new one until that is there, so that an edit does not flicker. */
function keepPictures(old, fresh) {
  fresh.forEach((image, index) => {
    const before = old[index];
    if (!before?.complete || !before.naturalWidth || before.src === image.src) return;
    const { src } = image;
    const loader = new Image();
    loader.src = src;
    image.loading = "eager";
    image.src = before.src;
    loader.decode().catch(() => {}).then(() => { image.src = src; });
  });
}
