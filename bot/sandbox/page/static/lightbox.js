// The viewer of pictures at full size.
import { h } from "./dom.js";
import { icon } from "./icons.js";

/** Shows pictures `{url, name, alt}` one at a time, beginning with the one at `index`. */
export function openLightbox(pictures, index) {
  const image = h("img", { alt: "" });
  const caption = h("p.caption");
  const count = h("span.count");
  const download = h("a.round-button", { title: "Download", "aria-label": "Download" }, icon("download"));
  const original = h("a.round-button", { target: "_blank", rel: "noreferrer noopener", title: "Open in a tab of its own", "aria-label": "Open in a tab of its own" }, icon("outside"));
  const close = h("button.round-button", { type: "button", title: "Close", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const step = (by) => { index = (index + by + pictures.length) % pictures.length; show(); };
  const several = pictures.length > 1;
  const dialog = h("dialog.lightbox", {
    "aria-label": "Picture at full size",
    onclick: (event) => { if (event.target === dialog || event.target.classList.contains("stage")) dialog.close(); },
    onclose: () => dialog.remove(),
    onkeydown: (event) => {
      if (several && event.key === "ArrowLeft") step(-1);
      if (several && event.key === "ArrowRight") step(1);
    },
  },
    h("div.bar", {}, count, h("span.space"), original, download, close),
    h("div.stage", {},
      several && h("button.round-button.previous", { type: "button", "aria-label": "Previous picture", onclick: () => step(-1) }, icon("left")),
      image,
      several && h("button.round-button.next", { type: "button", "aria-label": "Next picture", onclick: () => step(1) }, icon("right"))),
    caption);
  const show = () => {
    const { url, name, alt } = pictures[index];
    image.src = url;
    image.alt = alt ?? "";
    caption.textContent = alt ?? "";
    caption.hidden = !alt;
    count.textContent = several ? `${name} · ${index + 1} of ${pictures.length}` : name;
    original.href = url;
    download.href = `${url}${url.includes("?") ? "&" : "?"}download=1`;
    download.download = name;
  };
  image.addEventListener("click", () => dialog.classList.toggle("zoomed"));
  show();
  document.getElementById("overlays").append(dialog);
  dialog.showModal();
  close.focus();
}
