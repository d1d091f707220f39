// Files to attach: picked, dropped, pasted, or one of the example pictures.
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { bytes } from "./components.js";

const GROUPS = { image: "image/*", video: "video/*", audio: "audio/*" };

/** A place for files: shows them, uploads them, and offers the example pictures. */
export class FilePicker {
  /** `role` is that of the examples to offer first, `most` how many files fit, `changed` is called after each change. */
  constructor(app, { label, most = 1, types = null, role = null, id = null, changed = () => this.focus() }) {
    Object.assign(this, { app, label, most, role, changed, chosen: [], busy: false });
    this.input = h("input.visually-hidden", {
      type: "file", multiple: most > 1, tabIndex: -1, "aria-label": label, accept: types?.map((type) => GROUPS[type] ?? type).join(",") ?? "",
      onchange: () => { this.add([...this.input.files]); this.input.value = ""; },
    });
    this.pick = h("button.drop-button", { type: "button", id, onclick: () => this.input.click() });
    this.example = h("button.link-button", { type: "button", "aria-haspopup": "menu", onclick: () => this.offer() }, "Use an example picture");
    this.list = h("div.file-chips");
    this.element = h("div.drop", { role: "group", "aria-label": label, ondragover: (event) => this.over(event), ondragleave: () => this.element.classList.remove("over"), ondrop: (event) => this.drop(event), onpaste: (event) => this.paste(event) }, this.list, this.pick, this.example, this.input);
    this.draw();
  }

  /** What stands for the files in an action. */
  get files() {
    return this.chosen.map(({ file, spoiler }) => (spoiler ? { ...file, spoiler } : file));
  }

  focus() {
    (this.pick.hidden ? this.list.querySelector("button") : this.pick).focus();
  }

  over(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    this.element.classList.add("over");
  }

  drop(event) {
    event.preventDefault();
    event.stopPropagation();
    this.element.classList.remove("over");
    this.add([...event.dataTransfer.files]);
  }

  paste(event) {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    this.add(files);
  }

  /** Uploads files and shows them. */
  async add(files) {
    for (const file of files) {
      if (file.size > this.app.fileLimit) {
        this.app.toast(`${file.name} has ${bytes(file.size)}: ${bytes(this.app.fileLimit)} is the limit here.`);
        continue;
      }
      this.busy = true;
      this.draw();
      try {
        this.keep({ file: await this.app.live.upload(file), name: file.name, url: file.type.startsWith("image/") ? URL.createObjectURL(file) : null });
      } catch (error) {
        this.app.toast(error.message);
      }
      this.busy = false;
      this.draw();
    }
  }

  keep(entry) {
    if (this.chosen.length >= this.most) this.forget(this.chosen[0]);
    this.chosen.push(entry);
    this.draw();
    this.changed();
  }

  forget(entry) {
    if (entry.url?.startsWith("blob:")) URL.revokeObjectURL(entry.url);
    this.chosen = this.chosen.filter((each) => each !== entry);
    this.draw();
    this.changed();
  }

  useExample(example) {
    this.keep({ file: { example: example.name }, name: example.name, url: `/examples/${encodeURIComponent(example.name)}`, title: example.title });
  }

  offer(at = this.example) {
    const sorted = [...this.app.examples].sort((a, b) => (b.role === this.role) - (a.role === this.role));
    openMenu(at, "Example pictures", sorted.map((example) => ({ label: example.title, hint: example.role === "content" ? "photo" : "style", act: () => this.useExample(example) })));
  }

  draw() {
    const room = this.chosen.length < this.most;
    this.pick.hidden = !room;
    this.example.hidden = !room || !this.app.examples.length;
    fill(this.pick, this.busy ? "Uploading…" : h("span", {}, h("b", {}, "Choose a file"), ", drop it here or paste it"));
    fill(this.list, this.chosen.map((entry) => h(`div.file-chip${entry.spoiler ? ".is-spoiler" : ""}`, {},
      entry.url ? h("img", { src: entry.url, alt: "" }) : icon("file"),
      h("span.file-name", { title: entry.title ?? entry.name }, entry.name),
      h("span.chip-tools", {},
        h("button.tool", { type: "button", title: "Mark as spoiler", "aria-label": `Mark ${entry.name} as spoiler`, "aria-pressed": String(Boolean(entry.spoiler)), onclick: () => { entry.spoiler = !entry.spoiler; this.draw(); this.focus(); } }, icon("eye")),
        h("button.tool", { type: "button", title: "Remove", "aria-label": `Remove ${entry.name}`, onclick: () => { this.forget(entry); this.focus(); } }, icon("close"))))));
  }
}
