// The tab inside an iframe. It posts its height and completed actions to the host page, and requests a new token from
// it before the current one expires. It accepts messages of the registered origins only.
(() => {
  "use strict";
  const RENEW_BEFORE_S = 60;
  const RENEW_TIMEOUT_MS = 10000;
  const { body } = document;
  const hosts = body.dataset.hosts.split(" ");
  // Corrects for a difference between the clocks of browser and panel.
  const clockOffset = Date.now() / 1000 - Number(body.dataset.now);
  let expires = Number(body.dataset.expires);
  let host = null;
  let renewal = null;
  let timer = 0;

  // The address of the iframe contains the token: remove it, so that it does not stay in the history.
  const address = new URL(window.location.href);
  address.searchParams.delete("token");
  try {
    window.history.replaceState(window.history.state, "", address);
  } catch {
    // In a sandbox without allow-same-origin a document has no history of its own.
  }

  // --- the host page -------------------------------------------------------------------------------------------------

  function targetOrigins() {
    if (host) return [host];
    const ancestors = window.location.ancestorOrigins;
    return ancestors && ancestors.length ? hosts.filter((one) => one === ancestors[0]) : hosts;
  }

  // The browser delivers a message only to a page of the given origin.
  function post(type, more = {}) {
    if (window.parent !== window) targetOrigins().forEach((origin) => window.parent.postMessage({ type: `leafpanel:${type}`, ...more }, origin));
  }

  function onMessage(event) {
    if (event.source !== window.parent || !hosts.includes(event.origin) || !event.data) return;
    host = event.origin;
    const [port] = event.ports;
    if (port) port.onmessage = ({ data }) => receive(data);
    receive(event.data);
  }

  function receive({ type, token, theme }) {
    if (type === "leafpanel:hello") postHeight(true);
    else if (type === "leafpanel:token" && typeof token === "string") useToken(token);
    else if (type === "leafpanel:theme" && ["light", "dark"].includes(theme)) document.documentElement.dataset.bsTheme = theme;
  }

  // --- height ----------------------------------------------------------------------------------------------------------

  let postedHeight = 0;

  function postHeight(force = false) {
    const height = Math.ceil(document.documentElement.getBoundingClientRect().height);
    if (height === postedHeight && force !== true) return;
    postedHeight = height;
    post("height", { height });
  }

  // --- the token -------------------------------------------------------------------------------------------------------

  const secondsLeft = () => expires - (Date.now() / 1000 - clockOffset);

  function claims(token) {
    try {
      const text = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(window.atob(text), (one) => one.charCodeAt(0))));
    } catch {
      return {};
    }
  }

  function useToken(token) {
    const { exp } = claims(token);
    if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token) || typeof exp !== "number") return;
    expires = exp;
    body.setAttribute("hx-headers:inherited", JSON.stringify({ Authorization: `Bearer ${token}` }));
    if (renewal) renewal.done(token);
    renewal = null;
    schedule();
  }

  function renew() {
    if (!renewal) {
      renewal = {};
      renewal.promise = new Promise((resolve) => { renewal.done = resolve; });
      const { promise } = renewal;
      window.setTimeout(() => { if (renewal && renewal.promise === promise) { renewal.done(null); renewal = null; } }, RENEW_TIMEOUT_MS);
    }
    post("token-needed");
    return renewal.promise;
  }

  function schedule() {
    window.clearTimeout(timer);
    // A token that is valid for a short time is renewed at half of it.
    timer = window.setTimeout(renewBeforeExpiry, Math.max(1, Math.max(secondsLeft() - RENEW_BEFORE_S, secondsLeft() / 2)) * 1000);
  }

  async function renewBeforeExpiry() {
    if (await renew()) return;
    if (secondsLeft() <= 0) postExpired();
    timer = window.setTimeout(renewBeforeExpiry, 15000);
  }

  let expiredToken = 0;

  // Once for each token.
  function postExpired() {
    if (expiredToken === expires) return;
    expiredToken = expires;
    post("expired");
  }

  // Waits for a new token when the current one expires, so that the request does not fail and no input is lost.
  async function send(action, request) {
    // In a sandbox without allow-same-origin the panel is another origin.
    if (window.origin === "null") request.mode = "cors";
    if (secondsLeft() < 5) authorize(request, await renew());
    const response = await window.fetch(action, request);
    if (response.status !== 401) return response;
    const token = await renew();
    if (!token) {
      postExpired();
      return response;
    }
    authorize(request, token);
    return window.fetch(action, request);
  }

  function authorize(request, token) {
    if (token) request.headers.Authorization = `Bearer ${token}`;
  }

  // --- completed actions -------------------------------------------------------------------------------------------------

  const ACTIONS = { links: "linked", new: "linked", unlink: "unlinked", update: "changed", follow: "changed", repoint: "changed", undo: "changed", note: "changed" };

  function postAction({ request, response, text }) {
    if (!request || request.method !== "POST" || !response || response.status >= 400) return;
    const path = new URL(request.action, window.location.href).pathname.split("/");
    const action = ACTIONS[path.at(-1)];
    if (!action) return;
    // The parts of the object come before, and one of them can be this word.
    const integration = path[path.indexOf("integrations", path.indexOf("embed") + 4) + 1];
    const items = { linked: () => itemsIn(text), unlinked: () => itemsOf(request.body), changed: () => [{ reference: partOf(path.at(-2)) }] };
    items[action]().forEach((item) => post(action, { integration, ...item }));
  }

  // The answer to a link or a create has the items that are linked now.
  function itemsIn(text) {
    const banner = new DOMParser().parseFromString(text, "text/html").getElementById("lp-banner");
    return banner && banner.dataset.items ? JSON.parse(banner.dataset.items) : [];
  }

  function itemsOf(form) {
    const own = form.getAll("reference").map((reference) => ({ reference }));
    // Of another integration: its id, a blank, and the reference.
    const others = form.getAll("elsewhere").map((text) => [text, text.indexOf(" ")]);
    const all = [...own, ...others.map(([text, at]) => ({ integration: text.slice(0, at), reference: text.slice(at + 1) }))];
    return all.length === 1 ? [{ ...all[0], title: form.get("title") || "" }] : all;
  }

  // Addresses of the panel have the character U+E000 for a slash inside a part.
  const partOf = (segment) => decodeURIComponent(segment).replaceAll("\ue000", "/");

  window.addEventListener("message", onMessage);
  document.addEventListener("htmx:config:request", (event) => { event.detail.ctx.fetch = send; });
  document.addEventListener("leafpanel:poll", (event) => { event.detail.fetch = send; });
  document.addEventListener("htmx:after:swap", (event) => postAction(event.detail.ctx));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && secondsLeft() < RENEW_BEFORE_S) renew(); });
  new ResizeObserver(() => postHeight()).observe(document.documentElement);
  schedule();
  postHeight(true);
})();
