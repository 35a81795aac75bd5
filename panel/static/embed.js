// Leafpanel in a page of yours. An element with the address of a place of yours that answers with a fresh embed URL
// is enough:
//
//   <div data-leafpanel="/cases/42/leafpanel-url"></div>
//   <script src="https://panel.example.org/static/embed.js" defer></script>
//
// or, by hand: Leafpanel.embed(element, { url: async () => "https://panel.example.org/embed/…?token=…", theme: "dark" })
(() => {
  "use strict";
  const panel = new URL(document.currentScript.src).origin;

  // `url` answers with an embed URL that holds a new token: first for the frame, later only for its token.
  async function embed(place, { url, theme = "", lang = "", background = "", title = "Linked here", onLinked, onUnlinked, onChanged }) {
    const fresh = async () => {
      const address = new URL(await url());
      if (address.origin !== panel) throw new Error(`Leafpanel: ${address.origin} is not ${panel}, where embed.js comes from.`);
      return address;
    };
    const told = { "leafpanel:linked": onLinked, "leafpanel:unlinked": onUnlinked, "leafpanel:changed": onChanged };
    const frame = document.createElement("iframe");
    const say = (type, more = {}) => frame.contentWindow.postMessage({ type: `leafpanel:${type}`, ...more }, panel);

    async function onMessage(event) {
      if (event.origin !== panel || event.source !== frame.contentWindow || !event.data) return;
      const { type, height } = event.data;
      if (type === "leafpanel:height" && Number.isFinite(height)) frame.style.height = `${Math.min(Math.max(height, 0), 20000)}px`;
      else if (type === "leafpanel:token-needed") say("token", { token: (await fresh()).searchParams.get("token") });
      else if (type in told) {
        place.dispatchEvent(new CustomEvent(type, { detail: event.data, bubbles: true }));
        if (told[type]) told[type](event.data);
      }
    }

    const address = await fresh();
    Object.entries({ theme, lang, bg: background }).forEach(([name, value]) => { if (value) address.searchParams.set(name, value); });
    frame.title = title;
    Object.assign(frame.style, { display: "block", width: "100%", height: "12rem", border: "0" });
    // A frame is painted opaque where its colour scheme differs from that of its element.
    if (background === "transparent") frame.style.colorScheme = "normal";
    window.addEventListener("message", onMessage);
    frame.addEventListener("load", () => say("hello"));
    frame.src = address;
    place.replaceChildren(frame);
    return {
      frame,
      setTheme: (name) => say("theme", { theme: name }),
      remove() { window.removeEventListener("message", onMessage); frame.remove(); },
    };
  }

  async function ask(path) {
    const answer = await fetch(path, { headers: { Accept: "text/plain" }, cache: "no-store" });
    if (!answer.ok) throw new Error(`Leafpanel: ${path} answers ${answer.status}.`);
    return (await answer.text()).trim();
  }

  function begin() {
    document.querySelectorAll("[data-leafpanel]").forEach((place) => {
      const { leafpanel, theme, lang, background } = place.dataset;
      embed(place, { url: () => ask(leafpanel), theme, lang, background }).catch((error) => console.error(error));
    });
  }

  window.Leafpanel = { embed };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
