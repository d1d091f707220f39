// Servers, channels, and who one is.
import { fill, h, rove } from "./dom.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";

const [TEXT, DIRECT, GROUP, THREAD, FORUM] = [0, 1, 3, 11, 15];
const SIGNS = { [TEXT]: "hash", [THREAD]: "thread", [FORUM]: "forum" };
const LANGUAGES = ["id", "da", "de", "en-GB", "en-US", "es-ES", "es-419", "fr", "hr", "it", "lt", "hu", "nl", "no", "pl", "pt-BR", "ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW", "ko"];
const THEMES = { "light dark": "As the system", dark: "Dark", light: "Light" };

export class Sidebar {
  constructor(app) {
    this.app = app;
    this.servers = document.getElementById("servers");
    this.channels = document.getElementById("channels");
    this.account = document.getElementById("account");
  }

  draw() {
    this.drawServers();
    this.drawChannels();
    this.drawAccount();
  }

  drawServers() {
    const { app } = this;
    const server = (id, name, shown) => {
      const here = app.channels.filter((channel) => (channel.guild ?? "@me") === id);
      const pings = here.reduce((sum, channel) => sum + (app.pings.get(channel.id) ?? 0), 0);
      const unread = here.some((channel) => app.unread.has(channel.id));
      const open = (app.channel?.guild ?? "@me") === id;
      return h("li", {}, h(`button.server${unread ? ".unread" : ""}`, {
        type: "button", dataset: { id }, title: name, "aria-label": `${name}${unread ? ", unread" : ""}`, "aria-current": open ? "true" : null,
        onclick: () => { const first = here.find((channel) => channel.id === app.lastIn.get(id)) ?? here.find((channel) => channel.type !== FORUM); if (first) app.open(first.id); },
      }, shown, pings ? h("span.pings", { "aria-label": `${pings} pings` }, String(pings)) : null));
    };
    const list = h("ul", {},
      server("@me", "Direct messages", h("span.server-icon", {}, icon("mail"))),
      h("li.rail-line", { "aria-hidden": "true" }),
      app.guilds.map((guild) => server(guild.id, guild.name, h("span.server-icon", { "aria-hidden": "true" }, initials(guild.name)))));
    redraw(this.servers, list);
    rove(list, "button.server");
  }

  drawChannels() {
    const { app } = this;
    const guild = app.guilds.find((each) => each.id === app.channel?.guild);
    const here = app.channels.filter((channel) => (guild ? channel.guild === guild.id : !channel.guild));
    const list = h("ul.channel-list");
    for (const channel of here.filter((each) => !each.parent)) {
      const inner = here.filter((each) => each.parent === channel.id);
      list.append(h("li", {}, this.channel(channel), inner.length ? h("ul.threads", {}, inner.map((thread) => h("li", {}, this.channel(thread)))) : null));
    }
    redraw(this.channels, h("h2.guild-name", {}, guild?.name ?? "Direct messages"), list);
    rove(list, "button.channel");
  }

  channel(channel) {
    const { app } = this;
    const direct = [DIRECT, GROUP].includes(channel.type);
    const sign = direct ? app.avatar(app.bot) : h("span.sign", {}, icon(SIGNS[channel.type]));
    if (channel.type === FORUM) return h("span.channel.forum", {}, sign, channel.name);
    const unread = app.unread.has(channel.id);
    const pings = app.pings.get(channel.id);
    return h(`button.channel${unread ? ".unread" : ""}`, {
      type: "button", dataset: { id: channel.id }, "aria-current": channel.id === app.channel?.id ? "page" : null, onclick: () => app.open(channel.id),
    }, sign, h("span.label", {}, channel.name), channel.archived && h("span.hint", {}, "archived"), unread && h("span.visually-hidden", {}, ", unread"), pings ? h("span.pings", {}, String(pings)) : null);
  }

  drawAccount() {
    const { app } = this;
    const me = app.member(app.me);
    fill(this.account,
      h("button.who", { type: "button", id: "act-as", "aria-haspopup": "menu", "aria-label": `You are ${me.name}, ${me.role}. Act as somebody else`, title: "Act as somebody else", onclick: (event) => this.actAs(event.currentTarget) },
        app.avatar({ id: me.id, username: me.name }), h("span.who-text", {}, h("span.who-name", {}, me.name), h("span.who-role", {}, me.role))),
      h("button.tool", { type: "button", id: "preferences", "aria-label": "Language and colours", title: "Language and colours", "aria-haspopup": "dialog", onclick: () => this.preferences() }, icon("gear")));
  }

  actAs(button) {
    openMenu(button, "Act as", this.app.members.map((member) => ({ label: member.name, hint: member.id === this.app.me ? "you" : member.role, act: () => this.app.actAs(member.id) })));
  }

  preferences() {
    const { app } = this;
    const named = (locale) => { try { return new Intl.DisplayNames([locale], { type: "language" }).of(locale); } catch { return locale; } };
    const language = h("select", { id: "language", onchange: () => app.setLanguage(language.value) }, LANGUAGES.map((locale) => h("option", { value: locale, selected: locale === app.locale }, `${named(locale)} (${locale})`)));
    const theme = h("select", { id: "theme", onchange: () => setTheme(theme.value) }, Object.entries(THEMES).map(([value, label]) => h("option", { value, selected: value === storedTheme() }, label)));
    const close = h("button.button.primary", { type: "button", onclick: () => dialog.close() }, "Done");
    const dialog = h("dialog.modal", { "aria-labelledby": "preferences-title", onclose: () => { dialog.remove(); document.getElementById("preferences")?.focus(); } },
      h("div.dialog-body", {},
        h("header", {}, h("h2", { id: "preferences-title" }, "Language and colours")),
        h("div.fields", {},
          h("div.field", {}, h("label", { for: "language" }, `The language of ${app.member(app.me).name}'s Discord`), h("p.description", {}, "The bot is told this language with each command. This page itself stays English."), language),
          h("div.field", {}, h("label", { for: "theme" }, "Colours"), theme)),
        h("footer", {}, close)));
    document.getElementById("overlays").append(dialog);
    dialog.showModal();
  }
}

/** Replaces everything in a list. The button with the focus keeps it. */
function redraw(list, ...children) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  fill(list, ...children);
  if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

const initials = (name) => name.split(/\s+/).map((word) => word[0]).join("").slice(0, 3).toUpperCase();

function storedTheme() {
  try { return localStorage.getItem("theme") ?? "light dark"; } catch { return "light dark"; }
}

/** Light, dark, or what the system prefers. */
export function setTheme(theme = storedTheme()) {
  document.documentElement.style.colorScheme = theme in THEMES ? theme : "light dark";
  try { localStorage.setItem("theme", theme); } catch { /* the choice lasts until the page is closed */ }
}
