// Embeds the Leafpanel tab in an iframe, as a classic script or as a module. `src` is a path of your application that
// responds with a new embed address as plain text:
//
//   <leafpanel-tab src="/cases/42/leafpanel-url"></leafpanel-tab>        or  <div data-leafpanel="/cases/42/leafpanel-url"></div>
//   <script src="https://panel.example.org/static/embed.v1.js" defer></script>
//
// or from JavaScript: Leafpanel.embed(element, { url: async () => "https://panel.example.org/embed/…?token=…", theme: "dark" })
(() => {
  "use strict";
  if (window.Leafpanel) return;
  // A module has no currentScript: the panel is then the origin of the first address.
  const home = document.currentScript ? new URL(document.currentScript.src).origin : "";
  const EVENTS = ["linked", "unlinked", "changed", "expired"];
  const FIRST_WAIT_MS = 2000;
  const LONGEST_WAIT_MS = 60000;
  // A frame posts a message before its load event; an error page of the browser posts none.
  const SILENCE_MS = 20000;
  const SILENCE_AFTER_LOAD_MS = 3000;

  const TEXTS = {
    en: { title: "Linked here", failed: "The linked items cannot be shown at the moment.", ended: "Access to the linked items could not be renewed. What you typed is kept.", retry: "Try again" },
    nl: { title: "Hier gekoppeld", failed: "De gekoppelde items kunnen nu niet worden getoond.", ended: "De toegang tot de gekoppelde items kon niet worden verlengd. Wat u hebt getypt, blijft staan.", retry: "Opnieuw proberen" },
    de: { title: "Hier verknüpft", failed: "Die verknüpften Elemente können gerade nicht angezeigt werden.", ended: "Der Zugriff auf die verknüpften Elemente konnte nicht verlängert werden. Ihre Eingaben bleiben erhalten.", retry: "Erneut versuchen" },
  };

  function textsFor(element, lang) {
    const around = element.closest("[lang]") || document.documentElement;
    return TEXTS[(lang || around.lang).slice(0, 2).toLowerCase()] || TEXTS.en;
  }

  class Failure extends Error {
    constructor(reason, message, more = {}) {
      super(`Leafpanel: ${message}`);
      this.detail = { reason, message, ...more };
    }
  }

  // --- the address ---------------------------------------------------------------------------------------------------

  async function fetchText(path) {
    let response;
    try {
      response = await fetch(path, { headers: { Accept: "text/plain" }, cache: "no-store" });
    } catch {
      throw new Failure("network", `${path} cannot be reached.`);
    }
    if (!response.ok) throw new Failure("status", `${path} responds with ${response.status}.`, { status: response.status });
    return response.text();
  }

  // A framework may send the address as a JSON string, in quotes.
  function parseAddress(text) {
    try {
      return new URL(text.trim().replace(/^"(.*)"$/, "$1"));
    } catch {
      throw new Failure("no-address", "The application's answer is no address. Is it a sign-in page?");
    }
  }

  // --- one tab -------------------------------------------------------------------------------------------------------

  const tabs = new Map();

  class Tab {
    constructor(element, root, options) {
      Object.assign(this, { element, root, options, texts: textsFor(element, options.lang) });
      Object.assign(this, { frame: null, notice: null, port: null, origin: home, attempts: 0, timer: 0, isAsking: false });
      window.addEventListener("message", this);
    }

    remove() {
      window.removeEventListener("message", this);
      window.clearTimeout(this.timer);
      this.isRemoved = true;
      this.root.replaceChildren();
    }

    emit(name, more = {}) {
      const detail = { ...more, type: `leafpanel:${name}` };
      const callback = this.options[`on${name[0].toUpperCase()}${name.slice(1)}`];
      this.element.dispatchEvent(new CustomEvent(name, { detail }));
      this.element.dispatchEvent(new CustomEvent(detail.type, { detail, bubbles: true, composed: true }));
      if (callback) callback(detail);
    }

    // `url` returns an address with a new token. The first one is the address of the iframe; of later ones, only the
    // token is used. A failure is shown, and `again` repeats the step.
    async withAddress(use, again) {
      if (this.isAsking) return;
      this.isAsking = true;
      window.clearTimeout(this.timer);
      try {
        const address = await this.newAddress();
        if (!this.isRemoved) use(address);
      } catch (error) {
        this.fail(error, again);
      } finally {
        this.isAsking = false;
      }
    }

    async newAddress() {
      const address = parseAddress(String(await this.options.url()));
      if (this.origin && address.origin !== this.origin) throw new Failure("wrong-origin", `${address.origin} is not ${this.origin}, where the panel is.`);
      return address;
    }

    open() {
      return this.withAddress((address) => this.show(address), () => this.open());
    }

    renew() {
      return this.withAddress((address) => {
        this.post("token", { token: address.searchParams.get("token") });
        this.recover();
      }, () => this.renew());
    }

    // --- the frame ---

    show(address) {
      const { theme, lang, background, sandbox, surface, title } = this.options;
      const tz = Intl.DateTimeFormat().resolvedOptions().timeZone;
      Object.entries({ theme, lang, bg: background, surface, tz }).forEach(([name, value]) => { if (value) address.searchParams.set(name, value); });
      const frame = document.createElement("iframe");
      Object.assign(this, { frame, port: null, origin: address.origin, isReady: false });
      frame.title = title || this.texts.title;
      if (sandbox) frame.setAttribute("sandbox", sandbox);
      Object.assign(frame.style, { display: "block", width: "100%", height: "12rem", border: "0" });
      // Browsers paint an iframe opaque when its colour scheme differs from that of its element.
      if (background === "transparent") frame.style.colorScheme = "normal";
      frame.addEventListener("load", () => this.greet());
      frame.src = address;
      // After a failure the notice stays until the frame has posted a message.
      if (this.notice) frame.style.display = "none";
      this.root.replaceChildren(...(this.notice ? [this.notice, frame] : [frame]));
      this.expectMessage(SILENCE_MS);
    }

    // The document of a frame that is sandboxed without allow-same-origin has the origin "null".
    get isOpaque() {
      return this.frame.hasAttribute("sandbox") && !this.frame.sandbox.contains("allow-same-origin");
    }

    greet() {
      if (!this.isReady) this.expectMessage(SILENCE_AFTER_LOAD_MS);
      if (!this.isOpaque) this.post("hello");
      else if (!this.port) this.openPort();
    }

    // A message to the origin "null" would reach any document, also after the frame has left the panel. A port belongs
    // to the document that received it, which is the one at the first address.
    openPort() {
      const { port1, port2 } = new MessageChannel();
      this.port = port1;
      this.frame.contentWindow.postMessage({ type: "leafpanel:hello" }, "*", [port2]);
    }

    post(type, more = {}) {
      const message = { type: `leafpanel:${type}`, ...more };
      if (this.port) this.port.postMessage(message);
      else if (this.frame && !this.isOpaque) this.frame.contentWindow.postMessage(message, this.origin);
    }

    handleEvent({ origin, source, data }) {
      if (!this.frame || source !== this.frame.contentWindow || origin !== (this.isOpaque ? "null" : this.origin)) return;
      const name = String(data && data.type).replace("leafpanel:", "");
      if (!this.isReady) this.becomeReady();
      if (name === "height" && Number.isFinite(data.height)) this.frame.style.height = `${Math.min(Math.max(data.height, 0), 20000)}px`;
      else if (name === "token-needed") this.renew();
      else if (EVENTS.includes(name)) this.emit(name, data);
    }

    becomeReady() {
      this.isReady = true;
      this.recover();
      this.emit("ready");
    }

    expectMessage(milliseconds) {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => {
        this.frame.style.display = "none";
        this.fail(new Failure("silent", `${this.origin} does not show the tab. Is ${window.location.origin} among the origins of the application?`), () => this.open());
      }, milliseconds);
    }

    // --- failures ---

    fail(error, again) {
      if (this.isRemoved) return;
      const detail = error instanceof Failure ? error.detail : { reason: "application", message: String(error) };
      const wait = Math.min(FIRST_WAIT_MS * 2 ** this.attempts, LONGEST_WAIT_MS);
      this.attempts += 1;
      console.error(`Leafpanel: ${detail.message}`);
      this.showNotice(again);
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(again, wait);
      this.emit("error", { ...detail, attempt: this.attempts });
    }

    recover() {
      window.clearTimeout(this.timer);
      this.attempts = 0;
      this.frame.style.display = "block";
      this.hideNotice();
    }

    showNotice(again) {
      const { errorText } = this.options;
      const isShown = this.frame && this.isReady;
      if (!this.notice) this.root.prepend(this.notice = this.newNotice());
      const [words, button] = this.notice.children;
      const text = errorText || (isShown ? this.texts.ended : this.texts.failed);
      // A screen reader repeats a text that is set again.
      if (words.textContent !== text) words.textContent = text;
      button.onclick = again;
    }

    newNotice() {
      const notice = document.createElement("div");
      const words = document.createElement("slot");
      const button = document.createElement("button");
      notice.setAttribute("role", "alert");
      notice.setAttribute("part", "notice");
      Object.assign(notice.style, { font: "inherit", padding: "0.75em 1em", border: "1px solid #8886", borderLeft: "4px solid #c77700", borderRadius: "4px" });
      words.name = "error";
      Object.assign(words.style, { display: "block", marginBottom: "0.5em" });
      Object.assign(button, { type: "button", textContent: this.texts.retry });
      button.style.font = "inherit";
      notice.append(words, button);
      return notice;
    }

    hideNotice() {
      if (!this.notice) return;
      if (this.notice.matches(":focus-within")) this.frame.focus();
      this.notice.remove();
      this.notice = null;
    }
  }

  // --- elements ------------------------------------------------------------------------------------------------------

  async function embed(element, options) {
    const tab = start(element, options);
    await tab.opening;
    return {
      get frame() { return tab.frame; },
      setTheme: (theme) => tab.post("theme", { theme }),
      remove: () => stop(element),
    };
  }

  function start(element, options) {
    stop(element);
    const tab = new Tab(element, element.shadowRoot || element, options);
    tabs.set(element, tab);
    tab.opening = tab.open();
    return tab;
  }

  function stop(element) {
    if (tabs.has(element)) tabs.get(element).remove();
    tabs.delete(element);
  }

  // The options of an element: attributes of a `leafpanel-tab`, data attributes of any other.
  function startFrom(element, path) {
    const [theme, lang, background, sandbox, surface, errorText, title] = ["theme", "lang", "background", "sandbox", "surface", "error-text", "frame-title"].map((name) => element.getAttribute(name) || element.getAttribute(`data-${name}`) || "");
    start(element, { url: () => fetchText(path), theme, lang, background, sandbox, surface, errorText, title });
  }

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":host { display: block } :host([hidden]) { display: none }");

  class LeafpanelTab extends HTMLElement {
    static observedAttributes = ["src", "theme"];

    constructor() {
      super();
      this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    }

    connectedCallback() {
      this.isPlaced = true;
      if (this.hasAttribute("src")) startFrom(this, this.getAttribute("src"));
    }

    disconnectedCallback() {
      this.isPlaced = false;
      stop(this);
    }

    // The attributes of an element that is upgraded are announced before it is placed.
    attributeChangedCallback(name, before, value) {
      if (!this.isPlaced || before === value) return;
      if (name === "src") this.connectedCallback();
      else if (tabs.has(this)) tabs.get(this).post("theme", { theme: value });
    }
  }

  const paths = new WeakMap();

  // Elements that appear later, as in a single-page application, and elements whose path changes.
  function findElements() {
    tabs.forEach((tab, element) => {
      if (element.isConnected || !paths.delete(element)) return;
      stop(element);
    });
    document.querySelectorAll("[data-leafpanel]").forEach((element) => {
      const path = element.dataset.leafpanel;
      if (paths.get(element) === path) return;
      paths.set(element, path);
      startFrom(element, path);
    });
  }

  window.Leafpanel = { embed };
  customElements.define("leafpanel-tab", LeafpanelTab);
  findElements();
  new MutationObserver(findElements).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-leafpanel"] });
})();
