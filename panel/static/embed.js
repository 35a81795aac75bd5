// Embeds the Leafpanel tab in an iframe. It needs one element with a path of your application that responds with a
// new embed URL as plain text:
//
//   <div data-leafpanel="/cases/42/leafpanel-url"></div>
//   <script src="https://panel.example.org/static/embed.js" defer></script>
//
// or from JavaScript: Leafpanel.embed(element, { url: async () => "https://panel.example.org/embed/…?token=…", theme: "dark" })
(() => {
  "use strict";
  const panel = new URL(document.currentScript.src).origin;

  // `url` returns an embed URL with a new token. The first one is the address of the iframe; of later ones, only the
  // token is used.
  async function embed(element, { url, theme = "", lang = "", background = "", title = "Linked here", onLinked, onUnlinked, onChanged }) {
    const newAddress = async () => {
      const address = new URL(await url());
      if (address.origin !== panel) throw new Error(`Leafpanel: ${address.origin} is not ${panel}, where embed.js comes from.`);
      return address;
    };
    const callbacks = { "leafpanel:linked": onLinked, "leafpanel:unlinked": onUnlinked, "leafpanel:changed": onChanged };
    const frame = document.createElement("iframe");
    const post = (type, more = {}) => frame.contentWindow.postMessage({ type: `leafpanel:${type}`, ...more }, panel);

    async function onMessage(event) {
      if (event.origin !== panel || event.source !== frame.contentWindow || !event.data) return;
      const { type, height } = event.data;
      if (type === "leafpanel:height" && Number.isFinite(height)) frame.style.height = `${Math.min(Math.max(height, 0), 20000)}px`;
      else if (type === "leafpanel:token-needed") post("token", { token: (await newAddress()).searchParams.get("token") });
      else if (type in callbacks) {
        element.dispatchEvent(new CustomEvent(type, { detail: event.data, bubbles: true }));
        if (callbacks[type]) callbacks[type](event.data);
      }
    }

    const address = await newAddress();
    Object.entries({ theme, lang, bg: background, tz: Intl.DateTimeFormat().resolvedOptions().timeZone }).forEach(([name, value]) => { if (value) address.searchParams.set(name, value); });
    frame.title = title;
    Object.assign(frame.style, { display: "block", width: "100%", height: "12rem", border: "0" });
    // Browsers paint an iframe opaque when its colour scheme differs from that of its element.
    if (background === "transparent") frame.style.colorScheme = "normal";
    window.addEventListener("message", onMessage);
    frame.addEventListener("load", () => post("hello"));
    frame.src = address;
    element.replaceChildren(frame);
    return {
      frame,
      setTheme: (name) => post("theme", { theme: name }),
      remove() { window.removeEventListener("message", onMessage); frame.remove(); },
    };
  }

  async function fetchAddress(path) {
    const response = await fetch(path, { headers: { Accept: "text/plain" }, cache: "no-store" });
    if (!response.ok) throw new Error(`Leafpanel: ${path} responds with ${response.status}.`);
    return (await response.text()).trim();
  }

  function embedAll() {
    document.querySelectorAll("[data-leafpanel]").forEach((element) => {
      const { leafpanel, theme, lang, background } = element.dataset;
      embed(element, { url: () => fetchAddress(leafpanel), theme, lang, background }).catch((error) => console.error(error));
    });
  }

  window.Leafpanel = { embed };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", embedAll);
  else embedAll();
})();
