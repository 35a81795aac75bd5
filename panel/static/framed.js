// The tab inside another application. It tells the page around it how high it is and what was done, and asks that
// page for a new token before the old one ends. It listens to nobody else.
(() => {
  "use strict";
  const EARLY_S = 60;
  const PATIENCE_MS = 10000;
  const { body } = document;
  const hosts = body.dataset.hosts.split(" ");
  // The clocks of the browser and the panel may differ.
  const ahead = Date.now() / 1000 - Number(body.dataset.now);
  let expires = Number(body.dataset.expires);
  let host = null;
  let renewal = null;
  let timer = 0;

  // The token came with the address of the frame; it stays in no history and is copied with no address.
  const address = new URL(window.location.href);
  address.searchParams.delete("token");
  window.history.replaceState(window.history.state, "", address);

  // --- the page around -----------------------------------------------------------------------------------------------

  function possible() {
    if (host) return [host];
    const above = window.location.ancestorOrigins;
    return above && above.length ? hosts.filter((one) => one === above[0]) : hosts;
  }

  // A message is read by the origin that it is meant for; another one never sees it.
  function tell(type, more = {}) {
    if (window.parent !== window) possible().forEach((origin) => window.parent.postMessage({ type: `leafpanel:${type}`, ...more }, origin));
  }

  function onMessage(event) {
    if (event.source !== window.parent || !hosts.includes(event.origin) || !event.data) return;
    const { type, token, theme } = event.data;
    host = event.origin;
    if (type === "leafpanel:hello") tellHeight(true);
    else if (type === "leafpanel:token" && typeof token === "string") take(token);
    else if (type === "leafpanel:theme" && ["light", "dark"].includes(theme)) document.documentElement.dataset.bsTheme = theme;
  }

  // --- height, in both directions --------------------------------------------------------------------------------------

  let told = 0;

  function tellHeight(again = false) {
    const height = Math.ceil(document.documentElement.getBoundingClientRect().height);
    if (height === told && again !== true) return;
    told = height;
    tell("height", { height });
  }

  // --- the token -------------------------------------------------------------------------------------------------------

  const left = () => expires - (Date.now() / 1000 - ahead);

  function claims(token) {
    try {
      const text = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(window.atob(text), (one) => one.charCodeAt(0))));
    } catch {
      return {};
    }
  }

  function take(token) {
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
      window.setTimeout(() => { if (renewal && renewal.promise === promise) { renewal.done(null); renewal = null; } }, PATIENCE_MS);
    }
    tell("token-needed");
    return renewal.promise;
  }

  function schedule() {
    window.clearTimeout(timer);
    // Short lives are renewed at half time.
    timer = window.setTimeout(renewInTime, Math.max(1, Math.max(left() - EARLY_S, left() / 2)) * 1000);
  }

  async function renewInTime() {
    if (!(await renew())) timer = window.setTimeout(renewInTime, 15000);
  }

  // A request waits for a new token rather than fail, and what was typed stays where it is meanwhile.
  async function send(action, request) {
    if (left() < 5) use(request, await renew());
    const answer = await window.fetch(action, request);
    if (answer.status !== 401) return answer;
    const token = await renew();
    if (!token) return answer;
    use(request, token);
    return window.fetch(action, request);
  }

  function use(request, token) {
    if (token) request.headers.Authorization = `Bearer ${token}`;
  }

  // --- what was done -----------------------------------------------------------------------------------------------------

  const DONE = { links: "linked", new: "linked", unlink: "unlinked", update: "changed" };

  function tellDone({ request, response }) {
    if (!request || request.method !== "POST" || !response || response.status >= 400) return;
    const path = new URL(request.action, window.location.href).pathname.split("/");
    const done = DONE[path.at(-1)];
    if (done) tell(done, { integration: path[path.indexOf("integrations") + 1] });
  }

  window.addEventListener("message", onMessage);
  document.addEventListener("htmx:config:request", (event) => { event.detail.ctx.fetch = send; });
  document.addEventListener("htmx:after:swap", (event) => tellDone(event.detail.ctx));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && left() < EARLY_S) renew(); });
  new ResizeObserver(() => tellHeight()).observe(document.documentElement);
  schedule();
  tellHeight(true);
})();
