// The connection to the server. It reconnects by itself; contract.py documents what goes over it.

const RETRY_AFTER = 1000; // milliseconds

export class Live {
  /** `handlers` are called by the type of each event; `status` with true or false as the connection comes and goes. */
  constructor(handlers, status) {
    this.handlers = handlers;
    this.status = status;
    this.id = null;
    this.next = 1;
    this.waiting = new Map();
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(`ws://${location.host}/live`);
    this.socket.addEventListener("open", () => this.status(true));
    this.socket.addEventListener("message", (frame) => this.receive(JSON.parse(frame.data)));
    this.socket.addEventListener("close", () => {
      for (const { reject } of this.waiting.values()) reject(new Error("The connection was lost."));
      this.waiting.clear();
      this.status(false);
      setTimeout(() => this.connect(), RETRY_AFTER);
    });
  }

  receive(event) {
    if (event.type === "welcome") this.id = event.live;
    const waiting = this.waiting.get(event.id);
    if (waiting && event.type === "done") waiting.resolve(event);
    else if (waiting && event.type === "refused") waiting.reject(new Error(event.reason));
    else this.handlers[event.type]?.(event);
    if (waiting) this.waiting.delete(event.id);
  }

  /** Asks for an action. Rejects with the sentence of the refusal. */
  ask(type, fields = {}) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(new Error("There is no connection to the local Discord."));
        return;
      }
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ ...fields, type, id }));
    });
  }

  /** Uploads a file and returns what stands for it in an action. */
  async upload(file) {
    const query = new URLSearchParams({ live: this.id, filename: file.name, ...(await size(file)) });
    const answer = await fetch(`/uploads?${query}`, { method: "POST", body: file });
    const body = await answer.json().catch(() => ({ reason: "The file could not be uploaded." }));
    if (!answer.ok) throw new Error(body.reason);
    return { upload: body.upload };
  }
}

async function size(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    bitmap.close();
    return { width, height };
  } catch {
    return {}; // not a picture that the browser can read
  }
}
