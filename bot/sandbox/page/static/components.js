// The components and files of messages (Discord: Components, Reference).
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { markdown } from "./markdown.js";
import { openLightbox } from "./lightbox.js";
import { selectMenu } from "./menu.js";

const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link" };
const PICTURES = new Set(["image/gif", "image/jpeg", "image/png", "image/webp"]);

/** A file of the local Discord as this page reaches it; what is elsewhere is not loaded. */
export function local(url) {
  const { pathname, search, hostname } = new URL(url, location.href);
  return hostname === "127.0.0.1" && pathname.startsWith("/attachments/") ? pathname + search : null;
}

const emojiOf = (emoji) => (emoji ? (emoji.id ? `:${emoji.name}:` : emoji.name) : null);
const isSpoiler = (name) => name.startsWith("SPOILER_");
const nameOf = (url) => decodeURIComponent(new URL(url, location.href).pathname.split("/").pop());

/** What a message shows beside its text. `view` has `names`, `revealed`, `press`, `choose` and `choices`. */
export class Renderer {
  constructor(message, view) {
    this.message = message;
    this.view = view;
    this.pictures = [];
  }

  components(list) {
    return list.map((component) => this.component(component)).filter(Boolean);
  }

  component(part) {
    switch (part.type) {
      case 1: return h("div.row", {}, this.components(part.components));
      case 2: return this.button(part);
      case 3: case 5: case 6: case 7: case 8: return this.select(part);
      case 9: return h("div.section", {}, h("div.section-texts", {}, this.components(part.components)), this.component(part.accessory));
      case 10: return h("div.text-display", {}, markdown(part.content, this.view.names));
      case 11: return this.picture({ ...part, url: part.media.url }, "thumbnail");
      case 12: return this.gallery(part.items.map((item) => ({ ...item, url: item.media.url })));
      case 13: return this.fileDisplay(part);
      case 14: return h(`div.separator.spacing-${part.spacing ?? 1}${part.divider === false ? ".invisible" : ""}`, part.divider === false ? {} : { role: "separator" });
      case 17: return this.container(part);
      default: return h("div.unknown", {}, `Component of type ${part.type}`);
    }
  }

  container(part) {
    const element = h("div.container", {}, this.components(part.components));
    if (part.accent_color !== null && part.accent_color !== undefined) {
      element.classList.add("accented");
      element.style.setProperty("--accent", `#${part.accent_color.toString(16).padStart(6, "0")}`);
    }
    return part.spoiler ? this.hidden(element, `container-${part.id}`) : element;
  }

  button(part) {
    const emoji = emojiOf(part.emoji);
    const content = [emoji && h("span.emoji", {}, emoji), part.label];
    if (part.style === 5) {
      return h("a.button.secondary", { href: /^https?:/.test(part.url) ? part.url : null, target: "_blank", rel: "noreferrer noopener" }, content, icon("outside"));
    }
    const button = h(`button.button.${STYLES[part.style]}`, {
      type: "button", disabled: part.disabled, "aria-label": part.label ? null : emoji, dataset: { customId: part.custom_id },
      onclick: () => this.view.press(this.message, part.custom_id, button),
    }, content);
    return button;
  }

  select(part) {
    const options = part.type === 3
      ? part.options.map((option) => ({ ...option, emoji: emojiOf(option.emoji) }))
      : this.view.choices(part);
    const selected = part.type === 3
      ? part.options.filter((option) => option.default).map((option) => option.value)
      : (part.default_values ?? []).map((value) => value.id);
    const placeholder = part.placeholder ?? "Make a selection";
    const menu = selectMenu({
      label: part.placeholder ?? "Choices", placeholder, options, selected, disabled: Boolean(part.disabled),
      min: part.min_values ?? 1, max: part.max_values ?? 1,
      changed: (values) => this.view.choose(this.message, part.custom_id, values, menu),
    });
    menu.dataset.customId = part.custom_id;
    return menu;
  }

  gallery(items) {
    return h(`div.gallery.of-${Math.min(items.length, 4)}`, {}, items.map((item) => this.picture(item, "tile")));
  }

  /** A picture that opens at full size. */
  picture({ url, description, spoiler, filename, content_type: type }, kind) {
    const source = local(url);
    const name = filename ?? nameOf(url);
    if (!source) return h("a.file", { href: url, target: "_blank", rel: "noreferrer noopener" }, description ?? url);
    if (/\.(mp4|webm)$/i.test(name)) return h("video", { src: source, controls: true, "aria-label": description ?? name });
    const index = this.pictures.push({ url: source, name, alt: description }) - 1;
    const image = h("img", { src: source, alt: description ?? "", loading: "lazy", decoding: "async", draggable: true });
    const button = h(`button.picture.${kind}`, { type: "button", "aria-label": `${description ?? name}: open at full size`, onclick: () => openLightbox(this.pictures, index) },
      image, description && h("span.alt-badge", { "aria-hidden": "true", title: description }, "ALT"));
    return spoiler || isSpoiler(name) ? this.hidden(button, name) : button;
  }

  fileDisplay(part) {
    const card = this.card(part.file.url, part.name ?? nameOf(part.file.url), part.size);
    return part.spoiler ? this.hidden(card, part.file.url) : card;
  }

  card(url, name, size) {
    const source = local(url);
    const href = source && `${source}download=1`;
    return h("div.file", {}, icon("file"),
      h("span.file-name", {}, source ? h("a", { href, download: name }, name) : name, size ? h("span.file-size", {}, bytes(size)) : null),
      source && h("a.round-button", { href, download: name, "aria-label": `Download ${name}`, title: "Download" }, icon("download")));
  }

  attachments(list) {
    const pictures = list.filter((each) => PICTURES.has(each.content_type?.split(";")[0]));
    const others = list.filter((each) => !pictures.includes(each));
    return [
      pictures.length ? this.gallery(pictures) : null,
      ...others.map((each) => (/^video\//.test(each.content_type ?? "") ? this.picture(each, "tile") : this.card(each.url, each.filename, each.size))),
    ];
  }

  embed(embed) {
    const { names } = this.view;
    const element = h("div.embed", {},
      embed.author && h("div.embed-author", {}, embed.author.name),
      embed.title && h("div.embed-title", {}, markdown(embed.title, names)),
      embed.description && h("div.embed-description", {}, markdown(embed.description, names)),
      embed.fields && h("div.embed-fields", {}, embed.fields.map((field) => h(`div.embed-field${field.inline ? ".inline" : ""}`, {}, h("div.embed-name", {}, markdown(field.name, names)), markdown(field.value, names)))),
      embed.thumbnail && this.picture(embed.thumbnail, "thumbnail"),
      embed.image && this.picture(embed.image, "tile"),
      embed.footer && h("div.embed-footer", {}, embed.footer.text));
    if (embed.color !== undefined) element.style.setProperty("--accent", `#${embed.color.toString(16).padStart(6, "0")}`);
    return element;
  }

  /** Something that is blurred until the member shows it. */
  hidden(element, key) {
    if (this.view.revealed.has(key)) return element;
    const cover = h("button.spoiler-cover", {
      type: "button", "aria-label": "Spoiler: show",
      onclick: () => {
        this.view.revealed.add(key);
        box.replaceWith(element);
        element.inert = false;
        (element.matches("button") ? element : element.querySelector("button"))?.focus();
      },
    }, h("span", {}, "SPOILER"));
    element.inert = true;
    const box = h("div.spoiler", {}, element, cover);
    return box;
  }
}

export function bytes(size) {
  const units = ["bytes", "KB", "MB", "GB"];
  const power = Math.min(3, Math.floor(Math.log(Math.max(size, 1)) / Math.log(1024)));
  return `${(size / 1024 ** power).toFixed(power && 1)} ${units[power]}`;
}
