// Reads the server's events. It is fetch and not EventSource, which can't send the token in a header.

const AGAIN_AFTER = 2000; // milliseconds

export class Stream {
  // `events` maps the name of an event to a function of its data. `changed` is told "live", "lost", or "refused" and why.
  constructor(url, events, changed) {
    this.url = url;
    this.events = events;
    this.changed = changed;
    this.controller = null;
  }

  // Connects, in place of an earlier connection. `token` is empty for looking only.
  open(token) {
    this.close();
    const controller = new AbortController();
    this.controller = controller;
    this.#follow(token, controller);
  }

  close() {
    this.controller?.abort();
    this.controller = null;
  }

  async #follow(token, controller) {
    while (!controller.signal.aborted) {
      try {
        const headers = token ? { Authorization: `Bearer ${token}` } : {};
        const response = await fetch(this.url, { headers, signal: controller.signal, cache: "no-store" });
        if (response.status === 401 || response.status === 403) {
          this.changed("refused", await response.text());
          return;
        }
        if (!response.ok) throw new Error(await response.text());
        this.changed("live");
        await this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader());
      } catch (error) {
        if (controller.signal.aborted) return;
      }
      if (controller.signal.aborted) return;
      this.changed("lost");
      await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER));
    }
  }

  async #read(reader) {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const messages = rest.split("\n\n");
      rest = messages.pop();
      for (const message of messages) this.#dispatch(message);
    }
  }

  #dispatch(message) {
    let name = "message";
    const data = [];
    for (const line of message.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      if (line.startsWith("data: ")) data.push(line.slice(6));
    }
    this.events[name]?.(JSON.parse(data.join("\n")));
  }
}
