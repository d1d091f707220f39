// Begins the page: keeps what the server told, and hands each event to the part that shows it.
import { announce, fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { Live } from "./live.js";
import { Composer } from "./composer.js";
import { MessageList } from "./messages.js";
import { openModal } from "./modal.js";
import { mountPanel } from "./panel.js";
import { Sidebar, setTheme } from "./sidebar.js";

const FORUM = 15;
const COLOURS = ["#e67e22", "#3ba55d", "#e91e63", "#1abc9c", "#9b59b6", "#f1c40f"];
const byId = (id) => document.getElementById(id);

class App {
  constructor() {
    Object.assign(this, { me: null, members: [], guilds: [], channels: [], examples: [], roles: [], fileLimit: 0, channel: null, bot: {} });
    this.unread = new Set();
    this.pings = new Map();
    this.lastIn = new Map();
    this.names = {
      member: (id) => this.member(id)?.name ?? (id === this.bot.id ? this.bot.name : null),
      role: (id) => this.roles.find((role) => role.id === id)?.name,
      channel: (id) => this.channels.find((channel) => channel.id === id)?.name,
      isMe: (id) => id === this.me,
      useCommand: (name) => this.useCommand(name),
    };
    setTheme();
    this.sidebar = new Sidebar(this);
    this.live = new Live({ welcome: (event) => this.welcome(event), places: (event) => this.places(event), message: (event) => this.message(event) }, (on) => this.connected(on));
    this.messages = new MessageList(byId("messages"), this);
    this.composer = new Composer(byId("composer"), this);
    this.follow();
    this.toggle = this.panelToggle(byId("panel"));
    mountPanel(this.live, byId("panel"));
    const shown = this.live.handlers.trouble;
    this.live.handlers.trouble = (event) => { this.fileLimit = event.file_limit; shown?.(event); };
  }

  /** The page's own keys, links and drops. */
  follow() {
    document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); this.focusComposer(); });
    window.addEventListener("hashchange", () => this.open(location.hash.slice(1)));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && document.body.classList.contains("drawer-open")) this.drawer(false);
      const typing = event.target.matches("input, textarea, select, button, a, dialog *, [popover] *");
      if (event.key === "/" && !typing) { event.preventDefault(); this.composer.input.value = "/"; this.focusComposer(); }
    });
    const chat = byId("chat");
    chat.addEventListener("click", (event) => { if (!event.target.closest(".drawer-button")) this.drawer(false); });
    const files = (event) => event.dataTransfer?.types.includes("Files");
    chat.addEventListener("dragover", (event) => { if (files(event)) { event.preventDefault(); chat.classList.add("over"); } });
    chat.addEventListener("dragleave", (event) => { if (!chat.contains(event.relatedTarget)) chat.classList.remove("over"); });
    chat.addEventListener("drop", (event) => { chat.classList.remove("over"); if (files(event)) { event.preventDefault(); this.composer.dropped([...event.dataTransfer.files]); } });
  }

  connected(on) {
    document.body.classList.toggle("offline", !on);
    if (!on) announce("The connection to the local Discord was lost. Trying again.");
  }

  welcome(event) {
    const { me, members, guilds, channels, bot, examples, roles, file_limit: fileLimit, starter } = event;
    const wished = sessionStorage.getItem("member");
    if (wished && wished !== me && members.some((member) => member.id === wished)) {
      this.live.ask("act_as", { member: wished });
      return;
    }
    const opened = this.channel?.id ?? location.hash.slice(1);
    Object.assign(this, { me, members, guilds, channels, bot, examples, roles: roles ?? [], fileLimit, starter, channel: null });
    this.composer.files.draw();
    const home = channels.find((channel) => channel.type !== FORUM && channel.guild);
    this.open(channels.some((channel) => channel.id === opened) ? opened : home.id, true);
  }

  /** Shows servers and channels that were added, and threads that were archived or reopened. */
  places({ guilds, channels, roles }) {
    const open = this.channel?.id;
    Object.assign(this, { guilds, channels, roles, channel: channels.find((channel) => channel.id === open) ?? this.channel });
    this.sidebar.drawServers();
    this.sidebar.drawChannels();
  }

  message(event) {
    const { message, change } = event;
    this.messages.apply(event);
    if (change !== "create" || message.author.id === this.me) return;
    const here = message.channel_id === this.channel?.id && !document.hidden;
    const pings = message.pings.includes(this.me) || this.channels.find((channel) => channel.id === message.channel_id)?.guild === null;
    if (!here) {
      this.unread.add(message.channel_id);
      if (pings) this.pings.set(message.channel_id, (this.pings.get(message.channel_id) ?? 0) + 1);
      this.sidebar.drawServers();
      this.sidebar.drawChannels();
      this.title();
    }
  }

  title() {
    const pings = [...this.pings.values()].reduce((sum, count) => sum + count, 0);
    document.title = `${pings ? `(${pings}) ` : ""}${this.channel?.guild ? "#" : ""}${this.channel?.name ?? ""} · Atelier sandbox`;
  }

  /** Shows a channel. */
  async open(id, again = false) {
    const channel = this.channels.find((each) => each.id === id && each.type !== FORUM);
    if (!channel || (channel === this.channel && !again)) return;
    this.channel = channel;
    this.lastIn.set(channel.guild ?? "@me", channel.id);
    this.unread.delete(channel.id);
    this.pings.delete(channel.id);
    history.replaceState(null, "", `#${channel.id}`);
    this.drawer(false);
    this.sidebar.draw();
    this.header();
    this.title();
    this.composer.place(`${channel.parent ? "" : channel.guild ? "#" : "@"}${channel.name}`);
    await this.messages.open(channel, this.intro()).catch((error) => this.toast(error.message));
  }

  panelToggle(panel) {
    const toggle = h("button.tool", {
      type: "button", id: "panel-toggle", "aria-controls": "panel", "aria-expanded": "false", "aria-label": "What Discord saw", title: "What Discord saw",
      onclick: () => { panel.hidden = !panel.hidden; toggle.setAttribute("aria-expanded", String(!panel.hidden)); },
    }, icon("traffic"), h("span.wide", {}, "What Discord saw"));
    return toggle;
  }

  header() {
    const { channel, toggle } = this;
    const parent = this.channels.find((each) => each.id === channel.parent);
    fill(byId("channel-header"),
      h("button.tool.drawer-button", { type: "button", "aria-label": "Servers and channels", "aria-controls": "sidebar", "aria-expanded": "false", onclick: () => this.drawer(true) }, icon("menu")),
      h("h1", {}, h("span.sign", {}, icon(this.sign(channel))), parent && h("span.parent", {}, `${parent.name} › `), channel.name),
      h("span.space"), h("span.offline-note", { role: "status" }, "Reconnecting…"), toggle);
  }

  sign(channel) {
    return channel.parent ? "thread" : channel.guild ? "hash" : "at";
  }

  drawer(open) {
    if (document.body.classList.contains("drawer-open") === open) return;
    document.body.classList.toggle("drawer-open", open);
    document.querySelector(".drawer-button")?.setAttribute("aria-expanded", String(open));
    (open ? document.querySelector("#channels [aria-current]") : document.querySelector(".drawer-button"))?.focus();
  }

  intro() {
    const { channel, starter } = this;
    return [
      h("span.big-sign", {}, icon(this.sign(channel))),
      h("h2", {}, channel.guild && !channel.parent ? `Welcome to #${channel.name}!` : channel.name),
      h("p", {}, "This is a Discord of your own, on this machine. The bot is the real one: it receives what you do over Discord's gateway and answers over its REST interface."),
      h("p", {}, "Type ", h("kbd", {}, "/"), " for commands. Right-click a message, or use its menu, for ", h("b", {}, "Apps"), "."),
      starter && h("button.button.primary.starter", { type: "button", onclick: () => this.run(`/${starter.command}`, "invoke", { channel: this.channel.id, command: starter.command, options: starter.options }) }, starter.label),
    ];
  }

  member(id) {
    return this.members.find((member) => member.id === id);
  }

  get locale() {
    return this.member(this.me)?.locale ?? "en-US";
  }

  setLanguage(locale) {
    this.member(this.me).locale = locale;
    this.live.ask("language", { locale }).catch((error) => this.toast(error.message));
  }

  async actAs(id) {
    sessionStorage.setItem("member", id);
    await this.live.ask("act_as", { member: id }).catch((error) => this.toast(error.message));
    byId("act-as").focus();
    announce(`You are ${this.member(id).name} now.`);
  }

  mayModerate() {
    return Boolean(this.channel?.guild && this.member(this.me)?.moderator);
  }

  /** A name or description in the member's language. */
  localized(thing, field) {
    return thing[`${field}_localizations`]?.[this.locale] ?? thing[field];
  }

  /** The commands of a channel, for this member. */
  async commands(channel) {
    try {
      return (await this.live.ask("commands", { channel })).commands;
    } catch (error) {
      this.toast(error.message);
      return [];
    }
  }

  /** The slash commands, with their subcommands as commands of their own. */
  async slashCommands() {
    const leaves = (thing, name, shown) => {
      const inner = (thing.options ?? []).filter((option) => option.type <= 2);
      if (inner.length) return inner.flatMap((option) => leaves(option, `${name} ${option.name}`, `${shown} ${this.localized(option, "name")}`));
      return [{ name, shown, description: this.localized(thing, "description"), options: thing.options ?? [] }];
    };
    const commands = (await this.commands(this.channel.id)).filter((command) => command.type === 1);
    return commands.flatMap((command) => leaves(command, command.name, this.localized(command, "name")));
  }

  async useCommand(name) {
    const command = (await this.slashCommands()).find((each) => each.name === name);
    if (command) this.composer.use(command);
    else this.toast(`There is no command /${name} here.`);
  }

  /** Sends a command, and shows it until the bot has answered. */
  async run(label, type, fields) {
    const note = this.messages.note([this.avatar(this.bot), h("span", {}, h("b", {}, this.bot.name), " · Sending ", h("span.command-name", {}, label), "…")], "sending");
    this.messages.toEnd();
    const problem = await this.interact(type, fields).catch((error) => error.message);
    note.remove();
    if (!problem) return;
    const failed = this.messages.note([h("p.failed", { role: "alert" }, h("span.command-name", {}, label), ` ${problem}`), h("div.only-you", {}, "Only you can see this · ", h("button.link-button", { type: "button", onclick: () => failed.remove() }, "Dismiss message"))], "ephemeral");
  }

  /** Sends an interaction, and opens the form that the bot answers with. Returns a sentence if there was no answer. */
  async interact(type, fields) {
    const { interaction, modal, failed } = await this.live.ask(type, fields);
    if (modal) openModal(modal, this, (values) => this.interact("submit", { interaction, fields: values }));
    return failed;
  }

  /** The choices of a select menu that Discord fills in. */
  choices(part) {
    const roles = this.roles.filter((role) => role.guild === this.channel.guild).map((role) => ({ value: role.id, label: role.name }));
    const members = [...this.members, this.bot].map((member) => ({ value: member.id, label: member.name }));
    if (part.type === 5) return members;
    if (part.type === 6) return roles;
    if (part.type === 7) return [...members, ...roles];
    const kinds = part.channel_types;
    return this.channels.filter((each) => each.guild === this.channel.guild && (!kinds?.length || kinds.includes(each.type))).map((each) => ({ value: each.id, label: `#${each.name}` }));
  }

  avatar(user) {
    const name = user.global_name ?? user.username ?? user.name ?? "?";
    if (user.id === this.bot.id) return h("img.avatar", { src: "/static/icon.svg", alt: "" });
    const element = h("span.avatar", { "aria-hidden": "true" }, name[0]);
    element.style.setProperty("--colour", this.colour(user.id));
    return element;
  }

  colour(id) {
    const at = this.members.findIndex((member) => member.id === id);
    return COLOURS[(at + COLOURS.length) % COLOURS.length];
  }

  colourOf(user) {
    return user.bot ? {} : { "--colour": this.colour(user.id) };
  }

  focusComposer() {
    this.composer.focus();
  }

  /** Shows a sentence for a few seconds. */
  toast(sentence) {
    const element = h("div.toast", { role: "alert" }, sentence);
    byId("overlays").append(element);
    element.popover = "manual";
    element.showPopover();
    setTimeout(() => element.remove(), 6000);
  }
}

window.sandbox = new App();
