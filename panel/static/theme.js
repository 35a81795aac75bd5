// Runs before the first paint, so that a page with the theme `auto` does not flash in the other colours.
(() => {
  const root = document.documentElement;
  if (root.dataset.theme !== "auto") return;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { root.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", follow);
  follow();
})();

// Tells the panel the time zone of the browser, in which it prints times: with a cookie on pages, and with a header on
// requests for fragments, also in frames, where no cookie is kept.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone) return;
  if (window.parent === window) {
    const secure = window.location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `leafpanel-zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  }
  document.addEventListener("htmx:config:request", (event) => {
    event.detail.ctx.request.headers["X-Leafpanel-Zone"] = zone;
  });
  document.addEventListener("leafpanel:poll", (event) => { event.detail.headers["X-Leafpanel-Zone"] = zone; });
})();
